import Foundation
import LinuxSystem
import TestSupport
import Testing

/// Instances that have no interface but ist0: istbpfd's relay is their way out.
@Suite("The way out of instances without another interface", .timeLimit(.minutes(10)))
struct RelayedEgressTests {
  /// A runner in a network namespace of its own, whose default route leads to a namespace `world` that has 10.9.9.1
  /// and 10.9.9.10 to 10.9.9.12, and answers for other networks in several ways.
  private struct Stage {
    let runner: RunnerLaboratory
    let host: String
    let world: TestInstance
    let wrapper: [String]
    let resolver: TestResolver

    func declare(_ rules: String...) throws { try declare(rules) }

    func declare(_ rules: [String]) throws {
      let directory = "/tmp/\(runner.installation.name)-app"
      runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      let list = rules.map { "\"\($0)\"" }.joined(separator: ", ")
      try #"{"container": "app", "deployment": {"egress": [\#(list)]}}"#.write(
        toFile: "\(directory)/warp.config.json", atomically: true, encoding: .utf8)
      let result = try runner.istbpf("deploy", "-d", "shop", directory)
      #expect(result.status == 0, "\(result.errors)")
    }

    func startDaemon(_ settings: [String] = []) throws {
      try runner.startDaemon(
        wrapper: wrapper + ["env", "ISTBPF_EGRESS_RESOLV_CONF=\(resolver.configuration)"] + settings
      )
    }

    /// What `istbpf status` says of the first instance of shop/app.
    func wayOut() throws -> WayOut? {
      let output = try runner.istbpf("status", "--json").output
      return try JSONDecoder().decode(Status.self, from: Data(output.utf8)).deployments
        .first { $0.name == "shop" }?.instances.first { $0.service == "app" }
    }
  }

  private struct Status: Decodable {
    struct Deployment: Decodable {
      let name: String
      let instances: [WayOut]
    }
    let deployments: [Deployment]
  }

  struct WayOut: Decodable {
    let service: String
    let wayOut: String?
    let relayedConnections: Int
  }

  private func stage(
    _ settings: String..., rules: [String] = ["10.9.9.0/24:443"], body: (Stage) throws -> Void
  ) async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let (host, _) = try runner.laboratory.namespace()
      let (world, _) = try runner.laboratory.namespace()
      func ip(_ arguments: String...) throws {
        let result = try run(["ip"] + arguments)
        #expect(result.status == 0, "ip \(arguments): \(result.errors)")
      }
      try ip(
        "-n", host, "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", world)
      try ip("-n", host, "addr", "add", "10.9.9.2/24", "dev", "up0")
      for link in [(host, "lo"), (host, "up0"), (world, "lo"), (world, "down0")] {
        try ip("-n", link.0, "link", "set", link.1, "up")
      }
      for octet in [1, 10, 11, 12] {
        try ip("-n", world, "addr", "add", "10.9.9.\(octet)/24", "dev", "down0")
      }
      try ip("-n", host, "route", "add", "default", "via", "10.9.9.1")
      for (kind, network) in [
        ("blackhole", "203.0.113.0/24"), ("unreachable", "198.51.100.0/24"),
      ] { try ip("-n", world, "route", "add", kind, network) }
      // The host's own, although no interface has it.
      try ip("-n", host, "route", "add", "local", "192.0.2.0/24", "dev", "lo")
      let forwards = try runner.laboratory.run(
        in: world, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
      #expect(forwards.status == 0)
      let enter = ["nsenter", "--net=/run/netns/\(host)"]
      let outside = try TestInstance.outsider(
        by: ["ip", "netns", "exec", world], of: runner.laboratory)
      for port in [443, 444] { try outside.listen(port) }
      let stage = Stage(
        runner: runner, host: host, world: outside, wrapper: enter,
        resolver: try TestResolver(runner.laboratory, by: enter))
      try stage.startDaemon(settings)
      try stage.declare(rules)
      try body(stage)
    }
  }

  @Test("It reaches what its rules allow from the host's address, by name too, and nothing else")
  func reach() async throws {
    try await stage { stage in
      let runner = stage.runner
      try stage.resolver.say("api.example.com", .addresses(["10.9.9.10"]))
      try stage.declare("api.example.com:443", "10.9.9.11:*")
      try runner.deploy("shop", "db")
      let app = try runner.instance(of: "shop/app")
      let observed = try runner.observe("-d", "shop")
      #expect(try app.connect("api.example.com", 443) == "None/None at 10.9.9.10")
      let opened = try observed.next("opened")
      #expect(opened.destination?.name == "api.example.com")
      #expect(opened.source?.name == "shop/app.2")
      #expect(try observed.next("closed").destination?.port == 443)
      #expect(try app.connect("10.9.9.11", 444) == "None/None at 10.9.9.11")
      #expect(try app.connect("::ffff:10.9.9.11", 444).contains("10.9.9.11"))
      #expect(try stage.world.tell("last_caller") == "10.9.9.2")
      #expect(try app.tell("peer", "10.9.9.11", 443) == "10.9.9.11")
      for (address, port) in [("10.9.9.10", 444), ("10.9.9.12", 443), ("10.9.9.1", 443)] {
        #expect(try app.connect(address, port) == "EPERM", "\(address):\(port)")
      }
      #expect(try app.tell("udp_send", "10.9.9.11", 443) == "EPERM")
      let db = try runner.instance(of: "shop/db")
      #expect(try db.connect("10.9.9.11", 443) == "EPERM")

      // What answers nobody's connect, and what the network says.
      try stage.declare(
        "10.9.9.11:*", "10.9.9.77:443", "198.51.100.0/24:443", "203.0.113.0/24:443")
      #expect(try app.connect("10.9.9.11", 9) == "ECONNREFUSED")
      #expect(try app.connect("198.51.100.1", 443) == "EHOSTUNREACH")
      #expect(try app.connect("203.0.113.1", 443) == "timeout")
      #expect(try app.tell("wait", "10.9.9.77", 443) == "EHOSTUNREACH", "as ARP finds out")

      _ = try app.tell("hold", "10.9.9.11", 443)
      let way = try stage.wayOut()
      #expect(way?.wayOut == "relay" && way?.relayedConnections == 1, "\(way as Any)")
      let rows = try runner.inspect("egress").first { $0["rule"] == "10.9.9.11/32:*" }
      #expect(rows?["connections"] == "5")
      let explained = try runner.istbpf("explain", "shop/app", "10.9.9.11:443").output
      for words in ["by the rule 10.9.9.11/32:*", "istbpfd's relay", "address 10.9.9.2"] {
        #expect(explained.contains(words), "\(words): \(explained)")
      }
      #expect(try app.tell("exchange", "10.9.9.11", 443, 100_000, 100_000) == "exchanged")
    }
  }

  @Test("Ten changes of a name's address make no request fail, nor cut the connection that stays")
  func changes() async throws {
    try await stage("ISTBPF_EGRESS_KEEP_FORMER_SECONDS=2") { stage in
      func change(to address: String) throws {
        try stage.resolver.say("api.example.com", .addresses([address], ttl: 1))
        #expect(
          try stage.runner.eventually(within: 12) {
            try stage.runner.istbpf("explain", "shop/app", "api.example.com:443").output
              .contains("api.example.com is \(address)")
          }, "\(address)")
      }
      try stage.resolver.say("api.example.com", .addresses(["10.9.9.10"], ttl: 1))
      try stage.declare("api.example.com:443")
      let app = try stage.runner.instance(of: "shop/app")
      _ = try app.tell("load", "api.example.com", 443, 8000, 10)
      for number in 1...10 { try change(to: "10.9.9.\(10 + number % 3)") }
      // That and nothing else: neither what the name had in between, but for the address that the connection uses.
      #expect(
        try stage.runner.eventually(within: 10) {
          Set(try stage.runner.inspect("egress").map { $0["rule"] })
            == ["10.9.9.10/32:443", "10.9.9.11/32:443"]
        })
      for (address, port) in [("10.9.9.12", 443), ("10.9.9.11", 444), ("10.9.9.1", 443)] {
        #expect(try app.connect(address, port) == "EPERM", "\(address):\(port)")
      }
      #expect(try app.tell("result") == "0 of 8000 failed")
      #expect(try stage.wayOut()?.wayOut == "relay")
    }
  }

  @Test("Each connect reaches the host outside once, however busy this machine is")
  func once() async throws {
    try await stage { stage in
      let app = try stage.runner.instance(of: "shop/app")
      let busy = try (0..<4).map { _ in try Conversation(["sh", "-c", "while :; do :; done"]) }
      defer { busy.forEach { $0.stop() } }
      let before = Int(try stage.world.tell("count_callers")) ?? -1
      #expect(try app.tell("load", "10.9.9.10", 443, 500, 1) == "loading")
      #expect(try app.tell("result") == "0 of 500 failed")
      // With the one that stays.
      #expect(try stage.world.tell("count_callers") == "\(before + 501)")
      #expect(
        try stage.runner.eventually { try stage.wayOut()?.relayedConnections == 0 })
    }
  }

  @Test("A rule that is revoked takes its connections with it, at both ends")
  func revoked() async throws {
    try await stage { stage in
      let app = try stage.runner.instance(of: "shop/app")
      try stage.declare("10.9.9.10:443", "10.9.9.10:444")
      for port in [443, 444] { _ = try app.tell("hold", "10.9.9.10", port) }
      try stage.declare("10.9.9.10:444")
      let second = Double(slowness)
      #expect(try app.tell("ending", "10.9.9.10", 443, second) == "ECONNABORTED")
      #expect(try stage.world.tell("served", 443, second) == "ECONNRESET")
      #expect(try app.connect("10.9.9.10", 443) == "EPERM")
      #expect(try app.tell("echo", "10.9.9.10", 444) == "ping")
      #expect(try stage.runner.eventually { try stage.wayOut()?.relayedConnections == 1 })
      // An instance that ends takes its own along.
      app.program.stop()
      #expect(try stage.world.tell("served", 444, 5 * second) != "none")
    }
  }

  @Test(
    "However wide a rule is, nobody is connected to this machine or to link-local addresses, and it is told"
  )
  func refused() async throws {
    try await stage(rules: ["0.0.0.0/0:*"]) { stage in
      let runner = stage.runner
      let listener = try TestInstance.outsider(by: stage.wrapper, of: runner.laboratory)
      try listener.listen(443)
      let app = try runner.instance(of: "shop/app")
      #expect(try app.connect("10.9.9.10", 443) == "None/None at 10.9.9.10")
      let observed = try runner.observe("-d", "shop", "--denied")
      for address in [
        "10.9.9.2", "192.0.2.9", "169.254.169.254", "169.254.1.1", "240.0.0.1",
      ] {
        #expect(try app.connect(address, 443) == "EHOSTUNREACH", "\(address)")
        let event = try observed.next("denied")
        #expect(event.destination?.address == address && event.reason == "egress-refused")
        let explained = try runner.istbpf("explain", "shop/app", "\(address):443").output
        #expect(
          explained.contains("EHOSTUNREACH") && explained.contains("connects nobody there"),
          "\(explained)")
      }
      #expect(try listener.tell("callers") == "")
      #expect(try runner.denials("shop/app", "egress-refused") == 5)
      #expect(try app.connect("127.0.0.1", 443) == "ECONNREFUSED")
      #expect(try app.connect("198.18.9.1", 443) == "EHOSTUNREACH")
      #expect(try app.connect("198.18.0.1", 15001) == "EHOSTUNREACH")
    }
  }

  @Test("Without istbpfd connections go on; without the relay they are reset and refused")
  func withoutDaemon() async throws {
    try await stage { stage in
      let app = try stage.runner.instance(of: "shop/app")
      _ = try app.tell("hold", "10.9.9.10", 443)
      #expect(try app.tell("echo", "10.9.9.10", 443) == "ping")
      let relay = try stage.runner.relay()
      stage.runner.killDaemon()
      try stage.startDaemon()
      #expect(try app.tell("echo", "10.9.9.10", 443) == "ping")
      #expect(try stage.runner.relay() == relay, "the next istbpfd has it go on")
      stage.runner.killDaemon()
      #expect(try app.tell("echo", "10.9.9.10", 443) == "ping")
      #expect(try app.connect("10.9.9.10", 443) == "None/None at 10.9.9.10")
      #expect(try app.connect("10.9.9.10", 444) == "EPERM")
      stage.runner.killRelay()
      #expect(try app.tell("ending", "10.9.9.10", 443, Double(slowness)) == "ECONNRESET")
      let served = try stage.world.tell("served", 443, Double(slowness))
      #expect(served.contains("ECONNRESET"), "\(served)")
      #expect(try app.connect("10.9.9.10", 443) == "ECONNREFUSED")
      try stage.startDaemon()
      #expect(try app.connect("10.9.9.10", 443) == "None/None at 10.9.9.10")
    }
  }

  @Test("One instance has a bounded number of connections, and keeps none of what it gave up")
  func bounds() async throws {
    try await stage("ISTBPF_EGRESS_RELAY_CONNECTIONS=3", rules: ["0.0.0.0/0:443"]) { stage in
      let app = try stage.runner.instance(of: "shop/app")
      for octet in 10...12 { _ = try app.tell("hold", "10.9.9.\(octet)", 443) }
      #expect(try app.connect("10.9.9.1", 443) == "EHOSTUNREACH")
      #expect(
        stage.runner.logs("3 connections to outside, the most of an instance"),
        "\(stage.runner.daemon?.log ?? "")")
      #expect(try app.tell("drop", "10.9.9.10", 443) == "closed")
      #expect(
        try stage.runner.eventually {
          try app.connect("10.9.9.1", 443) == "None/None at 10.9.9.1"
        })
      // Connects that nobody answers give their places back once the caller has given up.
      _ = try app.tell("give_up", "203.0.113.1", 443, 3)
      #expect(
        try stage.runner.eventually(within: 20) {
          try app.connect("10.9.9.1", 443) == "None/None at 10.9.9.1"
        })
    }
  }
}
