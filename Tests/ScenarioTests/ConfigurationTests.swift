import Foundation
import Glibc
import Model
import TestSupport
import Testing

@testable import Runner

@Suite("The configuration of a runner", .timeLimit(.minutes(10)))
struct ConfigurationTests {
  /// Keys without which others are not looked at.
  private static let base: [String: String] = [
    "cluster": "base", "runnerName": "r0", "etcd.endpoints": "https://192.0.2.1:2379",
    "etcd.user": "base",
    "tunnel.address": "192.0.2.1:7000", "tunnel.certificate": "/c", "tunnel.key": "/k",
    "tunnel.authorities": "/a", "frontDoor.domain": "example.com", "frontDoor.certificates": "/f",
  ]

  /// The configuration that these values make, by a file and by the environment.
  private func read(
    file: [String: String], environment: [String: String] = [:]
  ) async throws -> RunnerConfiguration {
    let path = "/tmp/istbpf-\(UUID()).json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    var root: [String: Any] = [:]
    for (name, value) in file {
      let key = try #require(ConfigurationKeys.key(name))
      let json: Any =
        switch key.kind {
        case .text: value
        case .texts: value.components(separatedBy: ",")
        case .number: try #require(Int(value))
        case .flag: value == "true"
        }
      let parts = name.split(separator: ".").map(String.init)
      if parts.count == 1 {
        root[name] = json
      } else {
        var section = root[parts[0]] as? [String: Any] ?? [:]
        section[parts[1]] = json
        root[parts[0]] = section
      }
    }
    try JSONSerialization.data(withJSONObject: root).write(to: URL(fileURLWithPath: path))
    let variables = environment.map { (ConfigurationKeys.key($0.key)?.variable ?? "", $0.value) }
    return try await RunnerConfiguration.read(
      file: path, installation: .standard,
      environment: Dictionary(uniqueKeysWithValues: variables))
  }

  /// All that a configuration says, but for the values as they were written.
  private func text(_ configuration: RunnerConfiguration) -> String {
    var configuration = configuration
    configuration.values = [:]
    return "\(configuration)"
  }

  @Test(
    "Each key of the daemon can be said by the file and by the environment, and changes something")
  func everyKey() async throws {
    let before = text(try await read(file: Self.base))
    for key in ConfigurationKeys.all where key.effect != .container {
      var file = Self.base
      file[key.name] = key.example
      let byFile = try await read(file: file)
      let byEnvironment = try await read(file: Self.base, environment: [key.name: key.example])
      #expect(text(byFile) == text(byEnvironment), "\(key.name)")
      #expect(text(byFile) != before, "\(key.name)")
      #expect(byFile.values[key.name] == key.example, "\(key.name)")
      // The environment goes over the file.
      var other = Self.base
      other[key.name] =
        key.kind == .number ? "7" : key.kind == .flag ? key.standard : Self.base[key.name]
      #expect(
        text(try await read(file: other, environment: [key.name: key.example])) == text(byFile),
        "\(key.name)")
    }
  }

  @Test("What is declared as a key's default is what holds without it")
  func defaults() async throws {
    let before = text(try await read(file: Self.base))
    for key in ConfigurationKeys.all where key.effect != .container {
      guard let standard = key.standard else { continue }
      var file = Self.base
      file[key.name] = standard
      #expect(text(try await read(file: file)) == before, "\(key.name)")
    }
  }

  @Test("--check-config names file, line and key, and touches nothing")
  func check() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let path = "/tmp/\(runner.installation.name).json"
      defer { try? FileManager.default.removeItem(atPath: path) }
      func check(_ json: String, _ wrapper: [String] = []) throws -> CommandResult {
        try json.write(toFile: path, atomically: true, encoding: .utf8)
        return try runner.refusedDaemon(wrapper: wrapper, options: ["--check-config", path])
      }
      let wrong = try check(
        "{\n\"tunnel\": {\n\"deneid\": \"d\"},\n\"metrics\": {\"adress\": \"a\"}}")
      #expect(wrong.status == 1)
      #expect(
        wrong.errors == """
          istbpfd: \(path):4: unknown key "metrics.adress"; did you mean "metrics.address"?
          istbpfd: \(path):3: unknown key "tunnel.deneid"; did you mean "tunnel.denied"?

          """)
      for (json, message) in [
        (
          "{\n\"metrics\": {\n\"address\": \"192.0.2.1:1\"}}",
          ":3: metrics.address 192.0.2.1:1 is not on"
        ),
        ("{\n\"logLevel\": \"inof\"}", ":2: logLevel is inof, and can be trace, debug"),
        ("{\n\"range\": \"10.0.0.0/8\"}", ":2: range 10.0.0.0/8 is no range"),
        ("{\"etcd\":\n{\"endpoints\": [\"http://192.0.2.1:1\"]}}", "cluster is missing"),
        ("{\n\"cluster\": \"c\",\n\"tunnel\": {}}", ":3: tunnel.address is missing"),
        ("{", "is not JSON"),
        (
          """
          {"cluster": "c", "etcd": {"endpoints": ["http://192.0.2.1:1"]}, "tunnel": {
          "address": "192.0.2.1:1", "key": "/no/key", "authorities": "/no/ca",
          "certificate": "/no/certificate"}}
          """, ":3: tunnel.certificate cannot be used: "
        ),
      ] {
        let result = try check(json)
        #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
      }
      let variable = try check("{}", ["env", "ISTBPF_METRICS_ADRESS=127.0.0.1:1"])
      #expect(
        variable.status == 1 && variable.errors.contains("did you mean ISTBPF_METRICS_ADDRESS?"))
      let value = try check("{}", ["env", "ISTBPF_METRICS_ADDRESS=1"])
      #expect(
        value.errors.hasPrefix(
          "istbpfd: ISTBPF_METRICS_ADDRESS: metrics.address 1 is no IP address"))

      let right = try check("{\"metrics\": {\"address\": \"127.0.0.1:9464\"}}")
      #expect(
        right.status == 0 && right.output == "\(path) is as it should be\n", "\(right.errors)")
      #expect(right.errors.isEmpty)
      try FileManager.default.removeItem(atPath: path)
      let missing = try runner.refusedDaemon(options: ["--check-config", path])
      #expect(missing.status == 1 && missing.errors.contains("does not exist"))
      let two = try runner.refusedDaemon(options: [path])
      #expect(two.status == 64 && two.errors.contains("Unexpected argument"))
      #expect(runner.traces().isEmpty)
    }
  }

  @Test("The keys are printed for programs")
  func dump() throws {
    let result = try run(try Product.istbpfd(), "--dump-configuration-keys")
    let keys = try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
    #expect(keys.map { $0["name"] as? String } == ConfigurationKeys.all.map(\.name))
    let lease = try #require(keys.first { $0["name"] as? String == "etcd.leaseSeconds" })
    #expect(lease["variable"] as? String == "ISTBPF_ETCD_LEASE_SECONDS")
    #expect(lease["default"] as? String == "10")
    #expect(lease["effect"] as? String == "restart")
  }

  // MARK: Reload

  /// Sends SIGHUP, and waits for what the daemon says to it.
  private func reload(_ runner: RunnerLaboratory, _ message: String) throws {
    let daemon = try #require(runner.daemon)
    let before = daemon.log.components(separatedBy: message).count
    kill(daemon.processID, SIGHUP)
    let isSaid = runner.eventually {
      daemon.log.components(separatedBy: message).count > before
    }
    #expect(isSaid && daemon.isRunning, "\(message) is not in \(daemon.log)")
  }

  @Test("SIGHUP takes over what it can, names what needs a restart, and nothing of what is wrong")
  func reload() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let path = "/tmp/\(runner.installation.name).json"
      defer { try? FileManager.default.removeItem(atPath: path) }
      func write(_ json: String) throws {
        try json.write(toFile: path, atomically: true, encoding: .utf8)
      }
      try write("{}")
      try runner.startDaemon(options: ["--config", path])
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      try app.listen(80)
      let caller = try runner.instance(of: "shop/app")
      #expect(try caller.tell("hold", "198.18.1.2", 80).hasPrefix("shop/app"))

      try write("{\n\"logLevel\": \"debug\",\n\"metrics\": {\"adress\": \"a\"}}")
      try reload(runner, "nothing has changed: \(path):3: unknown key")
      try write("{\n\"logLevel\": \"debug\",\n\"metrics\": {\"address\": \"a\"}}")
      try reload(runner, "nothing has changed: \(path):3: metrics.address a is no IP address")
      try write(
        #"{"logLevel": "debug", "metrics": {"address": "127.0.0.1:1"}, "oci": {"variables": false}}"#
      )
      try reload(runner, "took over from the configuration: logLevel\n")
      for text in [
        "a restart of istbpfd is needed for: metrics.address\n",
        "containers that start from now on have: oci.variables\n",
      ] {
        #expect(runner.logs(text), "\(text) is not in \(runner.daemon?.log ?? "")")
      }
      try reload(runner, "a restart of istbpfd is needed for: metrics.address\n")
      try write(#"{"logLevel": "debug"}"#)
      try reload(runner, "containers that start from now on have: oci.variables\n")
      try reload(runner, "the configuration says what it said: nothing has changed\n")

      // From here on only errors are logged.
      try write(#"{"logLevel": "error", "metrics": {"address": "127.0.0.1:1"}}"#)
      let lines = try #require(runner.daemon?.log.split(separator: "\n").count)
      kill(try #require(runner.daemon?.processID), SIGHUP)
      usleep(500_000)
      try write("{")
      try reload(runner, "nothing has changed: \(path):1: is not JSON")
      #expect(
        runner.daemon?.log.split(separator: "\n").count == lines + 1, "\(runner.daemon?.log ?? "")")
      #expect(try caller.tell("echo", "198.18.1.2", 80) == "ping")
    }
  }

  @Test("What is marked as taken over by a reload is, in a cluster, and no connection notices")
  func reloadOfCluster() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")

      let (path, directory) = (cluster.configuration(1), cluster.directory)
      let text = try String(contentsOfFile: path, encoding: .utf8)
      // The same files by other names, of which each must be used from then on.
      for (from, to) in [
        ("runner1.crt", "own.crt"), ("runner1.key", "own.key"), ("ca.crt", "all.crt"),
      ] {
        try FileManager.default.copyItem(
          atPath: "\(directory)/\(from)", toPath: "\(directory)/\(to)")
      }
      let changed = text.replacingOccurrences(of: "runner1.crt", with: "own.crt")
        .replacingOccurrences(of: "runner1.key", with: "own.key")
        .replacingOccurrences(of: "\(directory)/ca.crt", with: "\(directory)/all.crt")
        .replacingOccurrences(of: "ca/denied", with: "refused")
        .replacingOccurrences(of: "\"local-first\"", with: "\"spread\"")
        .replacingOccurrences(of: "\"cluster\"", with: "\"logLevel\": \"debug\", \"cluster\"")
      // A list that cannot be read is a reason to take nothing over.
      try "no serial\n".write(toFile: "\(directory)/refused", atomically: true, encoding: .utf8)
      try changed.write(toFile: path, atomically: true, encoding: .utf8)
      try reload(
        cluster[1], "nothing has changed: configuration: tunnel.denied has a line that is no serial"
      )
      #expect(try cluster[1].inspect("services").allSatisfy { $0["selection"] == "local-first" })

      try "".write(toFile: "\(directory)/refused", atomically: true, encoding: .utf8)
      let wanted = ConfigurationKeys.all.filter { $0.effect == .reload }.map(\.name)
      try reload(
        cluster[1], "took over from the configuration: \(wanted.joined(separator: ", "))\n")
      #expect(try cluster[1].inspect("services").allSatisfy { $0["selection"] == "spread" })
      #expect(cluster[1].daemon?.log.contains("a restart of istbpfd is needed") == false)
      let relayLog = cluster[1].installation.relayLogPath
      #expect(
        try cluster[1].eventually {
          try String(contentsOfFile: relayLog, encoding: .utf8).contains("logs debug and above")
        })
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")

      // The deny list is the new one: what it gets takes effect.
      let serial = try #require(try cluster.serials(2).first)
      try "\(serial)\n".write(toFile: "\(directory)/refused", atomically: true, encoding: .utf8)
      #expect(
        try cluster[1].eventually { try app.tell("wait", "$WARP_IST_db", 3211) == "EHOSTUNREACH" })
    }
  }
}
