import Foundation
import Glibc
import TestSupport
import Testing

@Suite("Connections are shown as they open and close", .timeLimit(.minutes(10)))
struct ObserveConnectionTests {
  @Test("Once each, by name, with the caller's process, exact bytes and a duration")
  func connections() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      try app.listen(8080)
      let observed = try runner.observe("--opened", "--closed")
      #expect(try app.connect("127.0.0.1", 8080) == "shop/app at 127.0.0.1", "inside: not shown")
      let greeting = "shop/db at 198.18.2.2\n".utf8.count
      for (address, bytes, endsFirst) in [
        ("$WARP_IST_db", 0, true), ("198.18.2.2", 5, true), ("::ffff:198.18.2.1", 100_000, true),
      ] {
        // The other end echoes.
        #expect(
          try app.tell("exchange", address, 3211, bytes, bytes + greeting, endsFirst)
            == "exchanged")
        let opened = try observed.next()
        #expect(opened.event == "opened", "\(address)")
        #expect(opened.source?.name == "shop/app.2" && opened.source?.port ?? 0 > 0)
        #expect(opened.destination?.name == "shop/db.2" && opened.destination?.port == 3211)
        #expect(opened.pid == app.processID && opened.command == "python3")
        let closed = try observed.next()
        #expect(closed.event == "closed" && closed.source == opened.source, "\(address)")
        #expect(closed.sent == bytes && closed.received == bytes + greeting, "\(closed)")
        #expect(closed.durationNanoseconds ?? 0 > 0 && closed.pid == app.processID)
      }
      #expect(observed.rest(patience: 0.5).isEmpty, "one pair for each connection")
    }
  }

  @Test(
    "A connection that was open before is shown when it closes, after a restart of the daemon too")
  func older() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      runner.killDaemon()
      try runner.startDaemon()
      let observed = try runner.observe("--closed")
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try app.tell("held_peer", "$WARP_IST_db", 3211) == "198.18.2.1", "as it was asked")
      app.program.stop()
      let closed = try observed.next()
      #expect(closed.event == "closed" && closed.source?.name == "shop/app.2")
      #expect(closed.sent == 4 && closed.received == "shop/db at 198.18.2.2\nping".utf8.count)
    }
  }

  @Test("Filters by deployment, service and kind let through what they name, at either end")
  func filters() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db", "cache")
      try runner.deploy("other", "app")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      let other = try runner.instance(of: "other/app")
      try db.listen(3211)
      let shop = try runner.observe("--deployment", "shop")
      let database = try runner.observe("-d", "shop", "-s", "db")
      let denied = try runner.observe("--service", "app", "--denied")
      let closed = try runner.observe("--closed")
      #expect(try other.connect("192.0.2.1", 80) == "EPERM")
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      #expect(try app.connect("192.0.2.2", 80) == "EPERM")
      #expect(shop.rest().map(\.event).sorted() == ["closed", "denied", "opened"])
      #expect(database.rest(patience: 0.2).map(\.event) == ["opened", "closed"])
      #expect(
        denied.rest(patience: 0.2).map { $0.source?.name } == ["other/app.2", "shop/app.2"])
      #expect(closed.rest(patience: 0.2).map(\.event) == ["closed"])
    }
  }

  @Test("A slow reader is told how many events it lost, and holds up nobody")
  func slowReader() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let slow = try runner.observe("--opened")
      slow.command.signal(SIGSTOP)
      let total = 8000
      #expect(try app.tell("flood", "$WARP_IST_db", 3211, total) == "{\"connected\": \(total)}")
      let quick = try runner.observe("--denied")
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
      #expect(try quick.next().reason == "foreign-address", "the daemon and others go on")
      slow.command.signal(SIGCONT)
      let events = slow.rest()
      let (opened, lost) = (
        events.filter { $0.event == "opened" }.count, events.compactMap(\.count).reduce(0, +)
      )
      let untold = events.compactMap(\.connections).reduce(0, +)
      #expect(lost > 0 && opened >= 4096)
      #expect(opened + lost + untold == total)
    }
  }

  @Test("Without a daemon there is a clear error, and one that ends ends what observes it")
  func withoutDaemon() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      for (options, message) in [
        (["--deployment", "shp"], "deployment \"shp\" is not declared"),
        (["-d", "shop", "--service", "ap"], "service \"ap\" is not declared in deployment shop"),
        (["--service", "nobody"], "no deployment has a service \"nobody\""),
        (["--deployment", "a b"], "\"a b\" is no name for a deployment"),
      ] {
        let refused = try runner.istbpf(["observe"] + options)
        #expect(refused.status == 1 && refused.errors.contains(message), "\(refused.errors)")
      }
      let observed = try runner.observe()
      #expect(runner.daemon?.terminate() == 0, "an observer does not keep the daemon from ending")
      #expect(observed.command.awaitEnd() == 1)
      #expect(observed.command.errorText.contains("istbpfd has ended meanwhile"))
      let refused = try runner.istbpf("observe")
      #expect(refused.status == 1 && refused.errors.contains("istbpfd is not running"))
    }
  }
}
