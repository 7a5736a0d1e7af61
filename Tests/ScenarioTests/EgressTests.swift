import Foundation
import LinuxSystem
import TestSupport
import Testing

@Suite("What a service may connect to outside its deployment", .timeLimit(.minutes(10)))
struct EgressTests {
  /// Declares service app of deployment shop with these rules.
  private func declare(_ runner: RunnerLaboratory, _ rules: String...) throws -> CommandResult {
    let directory = "/tmp/\(runner.installation.name)-egress"
    runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let list = rules.map { "\"\($0)\"" }.joined(separator: ", ")
    try #"{"container": "app", "deployment": {"egress": [\#(list)]}}"#.write(
      toFile: "\(directory)/warp.config.json", atomically: true, encoding: .utf8)
    return try runner.istbpf("deploy", "-d", "shop", directory)
  }

  /// An instance of app with an eth0, and a program beyond it that listens on ports 443, 444 and 80.
  private func stage(
    _ runner: RunnerLaboratory
  ) throws -> (app: TestInstance, world: TestInstance, namespace: String) {
    let app = try runner.instance(of: "shop/app")
    let namespace = try runner.addInterface(to: app)
    let world = try TestInstance.outsider(
      by: ["ip", "netns", "exec", namespace], of: runner.laboratory)
    for port in [443, 444, 80] { try world.listen(port) }
    let ready = PacketPrograms.enter(app.processID) + ["nc", "-z", "-w", "1", "10.9.9.1", "80"]
    #expect(try runner.eventually { try run(ready).status == 0 }, "a way, but for the walls")
    return (app, world, namespace)
  }

  @Test("It reaches the networks and ports that it declares, and nothing else")
  func reach() async throws {
    try await RunnerLaboratory.with { runner in
      #expect(try declare(runner, "10.9.9.0/24:443", "192.0.2.0/24:*").status == 0)
      try runner.deploy("shop", "db")
      let (app, _, _) = try stage(runner)
      let world = "None/None at 10.9.9.1"
      #expect(try app.connect("10.9.9.1", 443) == world)
      #expect(try app.connect("::ffff:10.9.9.1", 443) == world)
      for host in ["10.9.9.1", "::ffff:10.9.9.1"] {
        #expect(try app.connect(host, 80) == "EPERM")
      }
      #expect(try app.tell("udp_send", "10.9.9.1", 443) == "EPERM")
      #expect(try app.connect("2001:db8::1", 443) == "EPERM")
      #expect(try app.tell("hold", "10.9.9.1", 443) == world)
      #expect(try app.tell("echo", "10.9.9.1", 443) == "ping")

      let rows = try runner.inspect("egress")
      #expect(rows.map { $0["rule"] } == ["10.9.9.0/24:443", "192.0.2.0/24:*"])
      #expect(rows.map { $0["connections"] } == ["3", "0"])
      #expect(rows.allSatisfy { $0["deployment"] == "shop" && $0["service"] == "app" })

      let db = try runner.instance(of: "shop/db")
      #expect(try db.connect("10.9.9.1", 443) == "EPERM")
    }
  }

  @Test("Nobody connects inward, not even from a port that is allowed")
  func inward() async throws {
    try await RunnerLaboratory.with { runner in
      #expect(try declare(runner, "0.0.0.0/0:*").status == 0)
      let (app, _, world) = try stage(runner)
      try app.listen(8080)
      let outside = try Conversation(
        PacketPrograms.enter(app.processID) + ["nc", "-lk", "10.9.9.2", "8081"])
      defer { outside.stop() }
      func connects(to port: String, from own: String) throws -> Bool {
        try runner.laboratory.run(
          in: world, "nc", "-z", "-w", "1", "-p", own, "10.9.9.2", port
        ).status == 0
      }
      #expect(try !connects(to: "8080", from: "444"))
      // Without the first of the two walls, whoever is no program of the instance is reached.
      let pins = runner.installation.pinDirectory
      for pin in try FileManager.default.contentsOfDirectory(atPath: pins)
      where pin.hasPrefix("lookup-") {
        try FileManager.default.removeItem(atPath: "\(pins)/\(pin)")
      }
      #expect(
        try runner.eventually { try connects(to: "8081", from: "445") }, "a way, but for the walls")
      #expect(try !connects(to: "8080", from: "446"))
      #expect(try runner.denials("shop/app", "inbound") > 0)
      // A rule for everything opens nothing of the range.
      #expect(try app.connect("198.18.9.1", 443) == "EHOSTUNREACH")
    }
  }

  @Test("A rule that is revoked takes its connections with it, at both ends at once")
  func revoked() async throws {
    try await RunnerLaboratory.with { runner in
      #expect(try declare(runner, "10.9.9.0/24:443", "10.9.9.1:444").status == 0)
      let (app, world, _) = try stage(runner)
      for port in [443, 444] { _ = try app.tell("hold", "10.9.9.1", port) }
      // Declared anew without a change.
      #expect(try declare(runner, "10.9.9.0/24:443", "10.9.9.1:444").status == 0)
      #expect(try app.tell("echo", "10.9.9.1", 443) == "ping")

      #expect(try declare(runner, "10.9.9.1:444").status == 0)
      let second = Double(slowness)
      #expect(try app.tell("ending", "10.9.9.1", 443, second) == "ECONNABORTED")
      #expect(try world.tell("served", 443, second) == "ECONNRESET")
      #expect(try app.connect("10.9.9.1", 443) == "EPERM")
      #expect(try app.tell("echo", "10.9.9.1", 444) == "ping", "another rule's stays")

      #expect(try declare(runner, "10.9.9.0/24:443").status == 0)
      #expect(try app.tell("ending", "10.9.9.1", 444, second) == "ECONNABORTED")
      #expect(try app.connect("10.9.9.1", 443) == "None/None at 10.9.9.1")
      #expect(try runner.inspect("egress").count == 1)
    }
  }

  @Test("It goes on without the daemon, and one that starts cuts what its registry does not have")
  func withoutDaemon() async throws {
    try await RunnerLaboratory.with { runner in
      #expect(try declare(runner, "10.9.9.1:443").status == 0)
      let (app, world, _) = try stage(runner)
      _ = try app.tell("hold", "10.9.9.1", 443)
      runner.killDaemon()
      #expect(try app.tell("echo", "10.9.9.1", 443) == "ping")
      #expect(try app.connect("10.9.9.1", 443) == "None/None at 10.9.9.1")
      try runner.startDaemon()
      #expect(try app.tell("echo", "10.9.9.1", 443) == "ping")

      // As a daemon leaves it that was killed between the registry and the kernel.
      runner.killDaemon()
      let changed = try run(
        "sqlite3", runner.installation.registryPath, "UPDATE services SET egress = ''")
      #expect(changed.status == 0, "\(changed.errors)")
      try runner.startDaemon()
      #expect(try app.tell("ending", "10.9.9.1", 443, Double(slowness)) == "ECONNABORTED")
      #expect(try world.tell("served", 443, Double(slowness)) == "ECONNRESET")
      #expect(try runner.inspect("egress").isEmpty)
    }
  }

  @Test("A rule that could open nothing is refused, and nothing is changed")
  func refused() async throws {
    try await RunnerLaboratory.with { runner in
      #expect(try declare(runner, "10.9.9.1:443").status == 0)
      for (rule, reason) in [
        ("198.18.2.0/24:443", "it lies in 198.18.0.0/15"), ("127.0.0.1:80", "loopback"),
        ("10.0.0.0/8", "a port is missing"), ("[2001:db8::]/32:443", "IPv6"),
      ] {
        let result = try declare(runner, rule)
        #expect(result.status == 1 && result.errors.contains(reason), "\(result.errors)")
      }
      #expect(try runner.inspect("egress").map { $0["rule"] } == ["10.9.9.1/32:443"])
      #expect(try runner.istbpf("deploy", "-d", "shop", "--replace").status == 0)
      #expect(try runner.inspect("egress").isEmpty)
    }
  }
}
