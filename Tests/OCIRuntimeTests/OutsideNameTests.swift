import EngineTestSupport
import Foundation
import TestSupport
import Testing

/// Containers whose service may connect to nothing but names.
@Suite("Names outside from containers of podman", .timeLimit(.minutes(10)))
struct OutsideNameTests {
  /// podman, a resolver of the test's own, and servers outside.
  private struct Stage {
    let podman: PodmanLaboratory
    let resolver: TestResolver
    var runner: RunnerLaboratory { podman.runner }

    /// Starts a program in a container, of a service or of none, which says one line once it is ready.
    func start(
      _ name: String, _ arguments: String..., service: String? = nil, network: String? = nil,
      options: [String] = []
    ) throws -> (Conversation, line: String) {
      let conversation = try Conversation(
        podman.commandLine(
          ["run", "--rm", "-i"] + PodmanLaboratory.hostPrograms
            + podman.options(service, network: network) + options + mounts
            + ["tools", "/usr/bin/python3", "-u", "/programs/\(name)"] + arguments))
      runner.laboratory.atEnd { conversation.stop() }
      return (conversation, try conversation.nextLine(patience: 60))
    }

    /// Runs a command in a container of shop/app, to its end.
    func run(
      network: String? = nil, _ options: [String] = [], _ command: String...
    ) throws -> CommandResult {
      try TestSupport.run(
        podman.commandLine(
          ["run", "--rm"] + PodmanLaboratory.hostPrograms
            + podman.options("shop/app", network: network) + options + mounts + ["tools"] + command)
      )
    }

    /// What runs a command in a container of shop/app, as a client wants it.
    func commandLine(of client: OutsideClient, _ network: String?) -> [String] {
      podman.commandLine(
        ["run", "--rm"] + PodmanLaboratory.hostPrograms
          + podman.options("shop/app", network: network) + mounts + client.options + ["tools"])
    }

    private var mounts: [String] {
      ["-v", "\(podman.directory)/tls:/tls:ro", "-v", "\(OutsideNameTests.programs):/programs:ro"]
    }

    func declare(_ service: String, _ rules: String...) throws { try declare(service, rules) }

    func declare(_ service: String, _ rules: [String]) throws {
      try OutsideNameTests.declare(rules, of: service, runner, in: podman.directory)
    }
  }

  private static let programs = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Programs").path

  private static func makeCertificate(in tls: String) throws {
    try FileManager.default.createDirectory(atPath: tls, withIntermediateDirectories: true)
    let made = try TestSupport.run(
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
      "-nodes", "-days", "2", "-subj", "/CN=api.example.com", "-addext",
      "subjectAltName=DNS:api.example.com", "-keyout", "\(tls)/key.pem", "-out",
      "\(tls)/certificate.pem")
    #expect(made.status == 0, "\(made.errors)")
  }

  private static func declare(
    _ rules: [String], of service: String, _ runner: RunnerLaboratory, in directory: String
  ) throws {
    let directory = "\(directory)/\(service)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let list = rules.map { "\"\($0)\"" }.joined(separator: ", ")
    try #"{"container": "\#(service)", "deployment": {"egress": [\#(list)]}}"#.write(
      toFile: "\(directory)/warp.config.json", atomically: true, encoding: .utf8)
    let result = try runner.istbpf("deploy", "-d", "shop", directory)
    #expect(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
  }

  private func stage(_ body: (Stage) throws -> Void) async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let resolver = try TestResolver(runner.laboratory)
      try runner.startDaemon(wrapper: ["ISTBPF_EGRESS_RESOLV_CONF=\(resolver.configuration)"])
      try runner.deploy("shop", "app", "db:3211")
      try PodmanLaboratory.with(runner) { podman in
        let stage = Stage(podman: podman, resolver: resolver)
        try Self.makeCertificate(in: "\(podman.directory)/tls")
        try body(stage)
      }
    }
  }

  @Test(
    "Clients reach a name through a bridge, and through the relay without one, and nothing else",
    arguments: OutsideClient.all)
  private func clients(client: OutsideClient) async throws {
    try await stage { stage in
      let (server, address) = try stage.start("server.py", "/tls")
      let (other, otherAddress) = try stage.start("server.py", "/tls")
      defer { [server, other].forEach { $0.stop() } }
      try stage.resolver.say([
        "api.example.com": .addresses([address]), "www.example.com": .addresses([otherAddress]),
      ])
      try stage.declare("app", "api.example.com:443", "api.example.com:80")
      try client.prepare(in: "\(stage.podman.directory)/tls")
      for network in [nil, "none"] {
        func fetch(_ host: String) throws -> CommandResult {
          try TestSupport.run(
            stage.commandLine(of: client, network) + client.command
              + ["\(client.scheme)://\(host)/"])
        }
        let result = try fetch("api.example.com")
        #expect(result.output == "from \(address)\n", "\(network ?? "bridge"): \(result.errors)")
        for host in ["www.example.com", otherAddress] {
          let result = try fetch(host)
          #expect(result.status != 0 && result.output.isEmpty, "\(host): \(result.output)")
        }
      }
    }
  }

  @Test("A container of Docker reaches a name without a network, and nothing else")
  func docker() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let resolver = try TestResolver(runner.laboratory)
      try runner.startDaemon(wrapper: ["ISTBPF_EGRESS_RESOLV_CONF=\(resolver.configuration)"])
      try runner.deploy("shop", "app")
      try DockerLaboratory.with(runner) { docker in
        let tls = "\(docker.directory)/tls"
        try Self.makeCertificate(in: tls)
        try docker.succeed("network", "create", "world")
        let mounts = ["-v", "\(tls):/tls:ro", "-v", "\(Self.programs):/programs:ro"]
        let server = try Conversation(
          docker.commandLine(
            nil, ["--rm", "--interactive", "--network", "world"] + mounts,
            ["/usr/bin/python3", "-u", "/programs/server.py", "/tls"]))
        defer { server.stop() }
        let address = try server.nextLine(patience: 60)
        try resolver.say("api.example.com", .addresses([address]))
        try Self.declare(["api.example.com:443"], of: "app", runner, in: docker.directory)
        for network in ["none", "world"] {
          func fetch(_ host: String) throws -> CommandResult {
            try TestSupport.run(
              docker.commandLine(
                "shop/app", ["--rm", "--network", network] + mounts,
                OutsideClient.curl.command + ["https://\(host)/"]))
          }
          let result = try fetch("api.example.com")
          #expect(result.output == "from \(address)\n", "\(network): \(result.errors)")
          #expect(try fetch("www.example.com").status != 0)
          #expect(try fetch("\(address):80").status != 0)
        }
        let listed = try runner.istbpf("status").output
        #expect(listed.contains("api.example.com"), "\(listed)")
      }
    }
  }

  private struct Requests: Decodable {
    let answers: [String: Int]
    let failures: [String]
  }

  @Test(
    "Ten changes of the address make no https request of a container fail, through a bridge and through the relay"
  )
  func changes() async throws {
    try await stage { stage in
      try tenChanges(stage, "api.example.com:443") { addresses in
        let clients = try [nil, "none"].map { network in
          let (client, line) = try stage.start(
            "requests.py", "api.example.com", "/tls/certificate.pem", service: "shop/app",
            network: network)
          #expect(line == "requesting")
          return client
        }
        return {
          for client in clients {
            let result = try JSONDecoder().decode(
              Requests.self, from: Data(try client.ask("enough").utf8))
            #expect(result.failures.isEmpty, "\(result)")
            #expect(Set(result.answers.keys) == Set(addresses), "\(result)")
          }
        }
      }
    }
  }

  @Test("Ten changes of the address make no request of any client fail, by either way out")
  func clientsThroughChanges() async throws {
    try await stage { stage in
      let tls = "\(stage.podman.directory)/tls"
      try tenChanges(stage, "api.example.com:443", "api.example.com:80") { addresses in
        let loops = try OutsideClient.all.flatMap { client in
          try client.prepare(in: tls)
          return try [nil, "none"].map { network in
            (
              "\(client.testDescription) by \(network ?? "bridge")",
              try Conversation(
                stage.commandLine(of: client, network) + ["/bin/sh", "-c", Self.again, "again"]
                  + client.command + ["\(client.scheme)://api.example.com/"])
            )
          }
        }
        return {
          defer { loops.forEach { $0.1.stop() } }
          try "".write(toFile: "\(tls)/enough", atomically: true, encoding: .utf8)
          for (name, loop) in loops {
            var lines = [try loop.nextLine(patience: 60)]
            while lines.last?.hasPrefix("requests: ") == false {
              lines.append(try loop.nextLine(patience: 60))
            }
            let others = lines.dropLast().filter { !$0.hasPrefix("from ") }
            #expect(others.isEmpty, "\(name): \(others) \(lines.last ?? "")")
            // Each address is one for 5 s at least. Where a run takes longer, as a JVM's on a busy machine, it misses some.
            let all = Set(addresses.map { "from \($0)" })
            let requests = Int(lines.last?.dropFirst("requests: ".count) ?? "") ?? 0
            let seen = Set(lines.dropLast())
            #expect(seen.isSubset(of: all) && (requests < 30 || seen == all), "\(name): \(lines)")
          }
        }
      }
    }
  }

  /// Runs a command until there is a file `/tls/enough`; tells each answer that is another than the one before, and
  /// each failure.
  private static let again = """
    number=0
    until [ -e /tls/enough ]; do
      answer=$("$@" 2>&1) || answer="failed: $answer"
      [ "$answer" = "$last" ] || printf '%s\\n' "$answer"
      last=$answer number=$((number + 1))
      /usr/bin/sleep 0.3
    done
    echo "requests: $number"
    """

  /// Has three servers outside, of which api.example.com is one and then another, ten times, and does meanwhile what
  /// `begin` begins and what that returns ends.
  private func tenChanges(
    _ stage: Stage, _ rules: String...,
    during begin: (_ addresses: [String]) throws -> () throws -> Void
  ) throws {
    let servers = try (0..<3).map { _ in try stage.start("server.py", "/tls") }
    defer { servers.forEach { $0.0.stop() } }
    let addresses = servers.map(\.line)
    try stage.resolver.say("api.example.com", .addresses([addresses[0]], ttl: 1))
    try stage.declare("app", rules)
    let end = try begin(addresses)
    for number in 1...10 {
      let address = addresses[number % addresses.count]
      try stage.resolver.say("api.example.com", .addresses([address], ttl: 1))
      #expect(
        try stage.runner.eventually(within: 20) {
          try stage.runner.istbpf("explain", "shop/app", "api.example.com:443").output
            .contains("api.example.com is \(address)")
        })
    }
    try end()
  }

  @Test(
    "A proxy is the way out: outside, by its name, or a service of the deployment that has a bridge"
  )
  func proxies() async throws {
    try await stage { stage in
      let (server, address) = try stage.start("server.py", "/tls")
      defer { server.stop() }
      let (proxy, proxyAddress) = try stage.start(
        "proxy.py", options: ["--add-host", "api.example.com:\(address)"])
      defer { proxy.stop() }
      try stage.resolver.say([
        "proxy.example.com": .addresses([proxyAddress]), "api.example.com": .addresses([address]),
      ])
      func curl(_ proxy: String?, network: String? = nil) throws -> CommandResult {
        try stage.run(
          network: network, proxy.map { ["--env", "HTTPS_PROXY=http://\($0):3128"] } ?? [],
          "/usr/bin/curl", "-sS", "--cacert", "/tls/certificate.pem", "https://api.example.com/")
      }
      // The organisation's.
      try stage.declare("app", "proxy.example.com:3128")
      #expect(try curl(nil).status != 0)
      let outside = try curl("proxy.example.com")
      #expect(outside.output == "from \(address)\n", "\(outside.errors)")

      // One of the deployment's own, for a container without a network.
      try stage.declare("app")
      try stage.declare("proxy", "api.example.com:443")
      let (own, _) = try stage.start("proxy.py", service: "shop/proxy")
      defer { own.stop() }
      let inside = try curl("proxy.warp", network: "none")
      #expect(inside.output == "from \(address)\n", "\(inside.errors)")
      #expect(try curl("proxy.example.com", network: "none").status != 0)
    }
  }
}
