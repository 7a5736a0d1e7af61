import Foundation
import LinuxSystem
import TestSupport
import Testing

@Suite("Names outside that a service may connect to", .timeLimit(.minutes(10)))
struct EgressNameTests {
  /// A runner whose names a server of the test's own resolves, and an instance of shop/app with an eth0: beyond
  /// it is a program that listens on port 443 of 10.9.9.1 and 10.9.9.10 to 10.9.9.29.
  private struct Stage {
    let runner: RunnerLaboratory
    let resolver: TestResolver
    let app: TestInstance
    let world: TestInstance

    /// The addresses of a name as `istbpf status` shows it.
    func known(_ name: String, of service: String = "app") throws -> Known? {
      let output = try runner.istbpf("status", "--json").output
      let status = try JSONDecoder().decode(Status.self, from: Data(output.utf8))
      return status.deployments.first { $0.name == "shop" }?.services
        .first { $0.name == service }?.names.first { $0.name == name }
    }

    /// What the kernel lets shop/app connect to.
    func rules() throws -> [String] {
      try runner.inspect("egress").filter { $0["service"] == "app" }.compactMap { $0["rule"] }
        .sorted()
    }

    func declare(_ rules: String..., service: String = "app") throws -> CommandResult {
      try EgressNameTests.declare(runner, rules, service: service)
    }

    /// Changes what the resolver says, and waits until that is in effect.
    func change(_ name: String, to addresses: [String]) throws {
      try resolver.say(name, .addresses(addresses, ttl: 1))
      #expect(
        try runner.eventually(within: 12) { try known(name)?.addresses == addresses },
        "\(addresses)")
    }
  }

  private struct Status: Decodable {
    struct Deployment: Decodable {
      let name: String
      let services: [Service]
    }
    struct Service: Decodable {
      let name: String
      let names: [Known]
    }
    let deployments: [Deployment]
  }

  struct Known: Decodable {
    let name: String
    let addresses, former: [String]
    let refused: [String: String]
    let surplus: Int
    let problem: String?
  }

  fileprivate static func declare(
    _ runner: RunnerLaboratory, _ rules: [String], service: String = "app"
  ) throws -> CommandResult {
    let directory = "/tmp/\(runner.installation.name)-\(service)"
    runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let list = rules.map { "\"\($0)\"" }.joined(separator: ", ")
    try #"{"container": "\#(service)", "deployment": {"egress": [\#(list)]}}"#.write(
      toFile: "\(directory)/warp.config.json", atomically: true, encoding: .utf8)
    return try runner.istbpf("deploy", "-d", "shop", directory)
  }

  private func stage(
    _ settings: [String] = [], answers: [String: TestResolver.Answer],
    _ rules: String..., body: (Stage) throws -> Void
  ) async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let resolver = try TestResolver(runner.laboratory)
      try resolver.say(answers)
      try runner.startDaemon(wrapper: Self.variables(resolver, settings))
      let result = try Self.declare(runner, rules)
      #expect(result.status == 0, "\(result.errors)")
      let app = try runner.instance(of: "shop/app")
      let namespace = try runner.addInterface(to: app)
      for octet in 10...29 {
        try runner.laboratory.run(
          in: namespace, "ip", "addr", "add", "10.9.9.\(octet)/24", "dev", "world0")
      }
      let world = try TestInstance.outsider(
        by: ["ip", "netns", "exec", namespace], of: runner.laboratory)
      for port in [443, 80] { try world.listen(port) }
      let ready = PacketPrograms.enter(app.processID) + ["nc", "-z", "-w", "1", "10.9.9.1", "80"]
      #expect(try runner.eventually { try run(ready).status == 0 }, "a way, but for the walls")
      try body(Stage(runner: runner, resolver: resolver, app: app, world: world))
    }
  }

  private static func variables(_ resolver: TestResolver, _ settings: [String]) -> [String] {
    ["ISTBPF_EGRESS_RESOLV_CONF=\(resolver.configuration)"] + settings
  }

  @Test("A name that is declared resolves and is reached at its port, and nothing else is")
  func reach() async throws {
    try await stage(
      answers: [
        "api.example.com": .addresses(["10.9.9.10", "10.9.9.11"]),
        "other.example.com": .addresses(["10.9.9.12"]),
      ], "api.example.com:443", "10.9.9.11:80"
    ) { stage in
      let (runner, app) = (stage.runner, stage.app)
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.10")
      #expect(try app.connect("10.9.9.11", 443) == "None/None at 10.9.9.11")
      #expect(try app.connect("api.example.com", 80) == "EPERM")
      for address in ["10.9.9.1", "10.9.9.12"] { #expect(try app.connect(address, 443) == "EPERM") }
      #expect(try app.tell("resolve", "other.example.com") == "unknown name")
      #expect(try stage.rules() == ["10.9.9.10/32:443", "10.9.9.11/32:443", "10.9.9.11/32:80"])
      let rows = try runner.inspect("egress")
      #expect(
        rows.map { $0["names"] } == ["api.example.com", "api.example.com", "api.example.com"])

      // Another service has neither the name nor the way.
      try runner.deploy("shop", "db")
      let db = try runner.instance(of: "shop/db")
      #expect(try db.tell("resolve", "api.example.com") == "unknown name")
      #expect(try db.connect("10.9.9.10", 443) == "EPERM")

      // A name that is declared later, and one with an address that another rule has as well.
      #expect(
        try stage.declare("api.example.com:443", "other.example.com:*", "10.9.9.10:443").status == 0
      )
      #expect(try app.connect("other.example.com", 80) == "None/None at 10.9.9.12")
      #expect(try stage.declare("api.example.com:443", "other.example.com:*").status == 0)
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.10")
      _ = try app.tell("hold", "10.9.9.12", 443)
      #expect(try stage.declare("10.9.9.10:443").status == 0)
      #expect(try stage.rules() == ["10.9.9.10/32:443"])
      #expect(try app.tell("ending", "10.9.9.12", 443, Double(slowness)) == "ECONNABORTED")
      #expect(try app.connect("10.9.9.10", 443) == "None/None at 10.9.9.10")
      #expect(
        try runner.eventually { try app.tell("resolve", "api.example.com") == "unknown name" })
    }
  }

  @Test("Ten changes of a name's address make no request fail, nor cut the connection that stays")
  func changes() async throws {
    try await stage(
      ["ISTBPF_EGRESS_KEEP_FORMER_SECONDS=2"],
      answers: ["api.example.com": .addresses(["10.9.9.10"], ttl: 1)], "api.example.com:443"
    ) { stage in
      let app = stage.app
      _ = try app.tell("read_hosts", ["localhost", "app.warp", "api.example.com"])
      _ = try app.tell("load", "api.example.com", 443, 8000, 10)
      for octet in 11...20 { try stage.change("api.example.com", to: ["10.9.9.\(octet)"]) }
      // Neither what the name had in between, but for the address that the connection uses.
      #expect(
        try stage.runner.eventually(within: 10) {
          try stage.rules() == ["10.9.9.10/32:443", "10.9.9.20/32:443"]
        })
      #expect(try app.connect("10.9.9.15", 443) == "EPERM")
      #expect(try app.tell("result") == "0 of 8000 failed")
      let read = try JSONDecoder().decode(Hosts.self, from: Data(try app.tell("hosts_read").utf8))
      #expect(read.reads > 1000 && read.torn.isEmpty && read.missing.isEmpty, "\(read)")
      let found = read.pairs.filter { $0.hasSuffix("example.com") }
      #expect(found == (10...20).map { "10.9.9.\($0) api.example.com" })
    }
  }

  private struct Hosts: Decodable {
    let reads: Int
    let torn, missing, pairs: [String]
  }

  @Test("No name leads inward: the range, loopback, link-local, multicast, or this machine")
  func rebinding() async throws {
    let own = try InterfaceAddress.all().first { $0.address >> 24 != 127 }.map { address in
      (0..<4).map { "\(address.address >> UInt32(24 - 8 * $0) & 0xff)" }.joined(separator: ".")
    }
    let inward =
      [
        "198.18.1.2", "127.0.0.1", "127.9.9.9", "169.254.169.254", "224.0.0.1", "0.0.0.0",
        "255.255.255.255", "240.0.0.1",
      ] + [own].compactMap { $0 }
    try await stage(
      answers: [
        "api.example.com": .addresses(inward + ["10.9.9.10"], ttl: 1),
        "evil.example.com": .addresses(inward, ttl: 1),
      ], "api.example.com:443", "evil.example.com:*"
    ) { stage in
      let (runner, app) = (stage.runner, stage.app)
      #expect(try stage.rules() == ["10.9.9.10/32:443"])
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.10")
      #expect(try app.tell("resolve", "evil.example.com") == "unknown name")
      let known = try stage.known("evil.example.com")
      #expect(known?.refused.count == inward.count && known?.addresses == [])
      for word in ["link-local", "the range", "loopback", "multicast", "this runner's own"] {
        #expect(
          known?.refused.values.contains { $0.contains(word) } == true || own == nil, "\(word)")
      }
      #expect(try app.connect("169.254.169.254", 80) == "EPERM")
      let again = try stage.declare("api.example.com:443", "evil.example.com:*")
      #expect(
        again.errors.contains(
          "evil.example.com has the address 169.254.169.254, which is not opened"))
      let log = runner.daemon?.log ?? ""
      let line = "evil.example.com has the address 169.254.169.254, which is not opened"
      #expect(log.components(separatedBy: line).count == 2, "logged once")

      // Rebinding: what it had goes on for a while, and what it has now is not opened.
      try stage.resolver.say("api.example.com", .addresses(["169.254.169.254"], ttl: 1))
      #expect(
        try runner.eventually(within: 12) { try stage.known("api.example.com")?.addresses == [] })
      #expect(try stage.rules() == ["10.9.9.10/32:443"])
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.10")
    }
  }

  @Test(
    "A resolver that fails leaves what was known for a while, then the rule closes, and status says so"
  )
  func failing() async throws {
    try await stage(
      ["ISTBPF_EGRESS_KEEP_ON_FAILURE_SECONDS=8"],
      answers: ["api.example.com": .addresses(["10.9.9.10"], ttl: 1)], "api.example.com:443"
    ) { stage in
      let (runner, app) = (stage.runner, stage.app)
      try stage.resolver.say("api.example.com", .mode("failing"))
      #expect(
        try runner.eventually(within: 12) { try stage.known("api.example.com")?.problem != nil })
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.10")
      #expect(try runner.eventually(within: 20) { try stage.rules().isEmpty })
      #expect(try app.connect("10.9.9.10", 443) == "EPERM")
      #expect(
        try runner.eventually { try app.tell("resolve", "api.example.com") == "unknown name" })
      let status = try runner.istbpf("status").output
      #expect(status.contains("CLOSED: "), "\(status)")
      let explained = try runner.istbpf("explain", "shop/app", "api.example.com:443").output
      #expect(explained.contains("unresolved") && explained.contains("CLOSED: "), "\(explained)")
      try stage.change("api.example.com", to: ["10.9.9.11"])
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.11")
    }
  }

  @Test(
    "A daemon that starts goes on with what the last one knew, and with no more than is declared")
  func restart() async throws {
    try await stage(
      answers: [
        "api.example.com": .addresses(["10.9.9.10"]), "gone.example.com": .addresses(["10.9.9.11"]),
      ], "api.example.com:443", "gone.example.com:443"
    ) { stage in
      let (runner, app) = (stage.runner, stage.app)
      _ = try app.tell("hold", "10.9.9.10", 443)
      _ = try app.tell("hold", "10.9.9.11", 443)
      runner.killDaemon()
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.10")
      for name in ["api.example.com", "gone.example.com"] {
        try stage.resolver.say(name, .mode("silent"))
      }
      let changed = try run(
        "sqlite3", runner.installation.registryPath,
        "UPDATE services SET egress = 'api.example.com:443'")
      #expect(changed.status == 0, "\(changed.errors)")
      try runner.startDaemon(wrapper: Self.variables(stage.resolver, []))
      #expect(try stage.rules() == ["10.9.9.10/32:443"])
      #expect(try app.tell("ending", "10.9.9.11", 443, Double(slowness)) == "ECONNABORTED")
      #expect(try app.tell("echo", "10.9.9.10", 443) == "ping")
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.10")
      #expect(
        try runner.eventually { try app.tell("resolve", "gone.example.com") == "unknown name" })
      let names = try FileManager.default.contentsOfDirectory(
        atPath: runner.installation.namesDirectory)
      #expect(names == ["api.example.com"])
    }
  }

  @Test("What may be reached by a name is explained, and so is what is denied")
  func explained() async throws {
    try await stage(
      answers: ["api.example.com": .addresses(["10.9.9.10"])], "api.example.com:443"
    ) { stage in
      let (runner, app) = (stage.runner, stage.app)
      let allowed = try runner.istbpf("explain", "shop/app", "API.example.com:443").output
      for words in [
        "api.example.com is 10.9.9.10: answered ", "next look in ", "10.9.9.10:443",
        "by the rule api.example.com:443, whose name has this address, answered",
        "egress shop/app 10.9.9.10/32:443",
      ] { #expect(allowed.contains(words), "\(words): \(allowed)") }
      let denied = try runner.istbpf("explain", "shop/app", "10.9.9.10:80").output
      #expect(denied.contains("api.example.com has this address"), "\(denied)")
      #expect(denied.contains("add \"api.example.com:80\""), "\(denied)")

      let observed = try runner.observe("-d", "shop")
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.10")
      #expect(try observed.next("opened").destination?.name == "api.example.com")
      #expect(try app.connect("10.9.9.10", 80) == "EPERM")
      let event = try observed.next("denied")
      #expect(event.destination?.name == "api.example.com")
      #expect(event.advice == "to allow it, write egress: [\"api.example.com:80\"]")
      #expect(try app.tell("udp_send", "10.9.9.1", 53) == "EPERM")
      #expect(try observed.next("denied").advice?.contains("egress: [\"NAME:443\"]") == true)
      #expect(try app.connect("10.9.9.1", 53) == "EPERM")
      #expect(try observed.next("denied").advice?.contains("egress: [\"NAME:443\"]") == true)
      // getaddrinfo() itself, of a name that no rule has.
      #expect(try app.tell("resolve", "www.example.org") == "unknown name")
      let asked = try observed.next("denied")
      #expect(asked.destination?.port == 53 && asked.advice?.contains("NAME:443") == true)
    }
  }

  @Test("deploy says what does not resolve, and refuses names that cannot be")
  func misspelt() async throws {
    try await stage(answers: [:], "10.9.9.0/24:80") { stage in
      let result = try stage.declare("api.exmaple.com:443")
      #expect(result.status == 0)
      #expect(
        result.errors.contains("api.exmaple.com is not resolved: there is no such name (NXDOMAIN)"),
        "\(result.errors)")
      #expect(try stage.rules().isEmpty)
      for (rule, reason) in [
        ("*.example.com:443", "a wildcard"), ("db.warp:1", "the deployment's own"),
        ("localhost:80", "loopback"), ("db:5432", "search domains"),
        ("example.com", "port is missing"),
      ] {
        let refused = try stage.declare(rule)
        #expect(refused.status == 1 && refused.errors.contains(reason), "\(refused.errors)")
      }
    }
  }

  @Test("1,000 names that the resolver lets wait for 30 s hold nothing up")
  func slow() async throws {
    try await stage(answers: ["api.example.com": .addresses(["10.9.9.10"])], "api.example.com:443")
    {
      stage in
      let runner = stage.runner
      let services = (0..<32).map { "s\($0)" }
      var answers: [String: TestResolver.Answer] = [:]
      for service in services {
        for number in 0..<32 {
          answers["n\(number).\(service).example.com"] = .mode("late", delay: 30)
        }
      }
      try stage.resolver.say(answers)
      let directory = "/tmp/\(runner.installation.name)-slow"
      runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
      for service in services {
        try FileManager.default.createDirectory(
          atPath: "\(directory)/\(service)", withIntermediateDirectories: true)
        let list = (0..<32).map { "\"n\($0).\(service).example.com:443\"" }.joined(separator: ", ")
        try #"{"deployment": {"egress": [\#(list)]}}"#.write(
          toFile: "\(directory)/\(service)/warp.config.json", atomically: true, encoding: .utf8)
      }
      let start = Date()
      let result = try runner.istbpf(
        ["deploy", "-d", "slow"] + services.map { "\(directory)/\($0)" })
      #expect(result.status == 0 && result.errors.contains("is not resolved yet"))
      // Nothing waits for as long as a single look takes.
      #expect(Date().timeIntervalSince(start) < 30)
      for _ in 0..<5 {
        let start = Date()
        #expect(try runner.istbpf("status").status == 0)
        #expect(try runner.runInstance("shop/app", "true").status == 0)
        #expect(try stage.declare("api.example.com:443", "api.example.com:80").status == 0)
        #expect(Date().timeIntervalSince(start) < 30)
      }
    }
  }
}
