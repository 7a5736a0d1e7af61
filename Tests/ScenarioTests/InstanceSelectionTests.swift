import TestSupport
import Testing

@Suite("Which instance of a service answers", .timeLimit(.minutes(10)))
struct InstanceSelectionTests {
  @Test("Connections spread over all instances that listen")
  func spread() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let dbs = try (1...3).map { _ in try runner.instance(of: "shop/db") }
      for db in dbs { try db.listen(3211) }
      let counts = try runner.instance(of: "shop/app").tally("$WARP_IST_db", 3211, times: 300)
      #expect(counts.count == 3)
      // Of 300 at random 100 each are expected; fewer than 50 come once in 10^9 times.
      #expect(counts.values.allSatisfy { $0 > 50 }, "\(counts)")
    }
  }

  @Test("An instance that does not listen yet is avoided as long as another does")
  func starting() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (first, second) = (try runner.instance(of: "shop/db"), try runner.instance(of: "shop/db"))
      try first.listen(3211)
      let app = try runner.instance(of: "shop/app")
      #expect(try app.tally("$WARP_IST_db", 3211, times: 50) == ["shop/db at 198.18.2.2": 50])

      try second.listen(3211)
      _ = try first.tell("unlisten", 3211)
      #expect(try app.tally("$WARP_IST_db", 3211, times: 50) == ["shop/db at 198.18.2.3": 50])
    }
  }

  @Test("An instance that listens with several SO_REUSEPORT sockets listens until the last closes")
  func reusedPort() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (first, second) = (try runner.instance(of: "shop/db"), try runner.instance(of: "shop/db"))
      try first.listen(3211, times: 3)
      let app = try runner.instance(of: "shop/app")
      for remaining in ["2", "1"] {
        _ = try first.tell("unlisten", 3211)
        #expect(try app.tally("$WARP_IST_db", 3211, times: 20) == ["shop/db at 198.18.2.2": 20])
        #expect(try runner.inspect("listeners").map { $0["reachable"] } == [remaining])
      }
      try second.listen(3211)
      _ = try first.tell("unlisten", 3211)
      #expect(try app.tally("$WARP_IST_db", 3211, times: 20) == ["shop/db at 198.18.2.3": 20])
    }
  }

  @Test("An instance that listens on loopback only is not taken for one that can be reached")
  func loopbackOnly() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (first, second) = (try runner.instance(of: "shop/db"), try runner.instance(of: "shop/db"))
      try first.listen(3211, on: "127.0.0.1")
      try second.listen(3211, on: "198.18.2.3")
      let app = try runner.instance(of: "shop/app")
      #expect(try app.tally("$WARP_IST_db", 3211, times: 50) == ["shop/db at 198.18.2.3": 50])
    }
  }

  @Test(
    "A socket that no connection to the instance address reaches is not taken for one that listens",
    arguments: [("::", true), ("::1", false), ("10.9.9.2", false), ("::ffff:10.9.9.2", false)])
  func unreachable(host: String, isIPv6Only: Bool) async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (first, second) = (try runner.instance(of: "shop/db"), try runner.instance(of: "shop/db"))
      _ = try runner.addInterface(to: first)
      try first.listen(3211, on: host, isIPv6Only: isIPv6Only)
      // One for IPv4 too is taken for one, and the other's end changes nothing.
      try second.listen(3211, on: "::")
      let app = try runner.instance(of: "shop/app")
      #expect(try app.tally("$WARP_IST_db", 3211, times: 50) == ["shop/db at 198.18.2.3": 50])
      _ = try first.tell("unlisten", 3211)
      #expect(try app.tally("$WARP_IST_db", 3211, times: 50) == ["shop/db at 198.18.2.3": 50])
      try first.listen(3211)
      #expect(try app.tally("$WARP_IST_db", 3211, times: 50).count == 2)
    }
  }

  @Test("A socket of a network namespace inside the instance is not taken for one that listens")
  func otherNamespace() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (first, second) = (try runner.instance(of: "shop/db"), try runner.instance(of: "shop/db"))
      #expect(try first.tell("listen_apart", 3211) == "listening")
      try second.listen(3211)
      let app = try runner.instance(of: "shop/app")
      #expect(try app.tally("$WARP_IST_db", 3211, times: 50) == ["shop/db at 198.18.2.3": 50])
    }
  }

  @Test("An instance that has ended is asked no more, and its listening sockets are forgotten")
  func ended() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (first, second) = (try runner.instance(of: "shop/db"), try runner.instance(of: "shop/db"))
      for db in [first, second] { try db.listen(3211) }
      let app = try runner.instance(of: "shop/app")
      first.program.stop()
      #expect(try runner.eventually { try runner.listedInstances().count == 2 })
      #expect(try app.tally("$WARP_IST_db", 3211, times: 50) == ["shop/db at 198.18.2.3": 50])
      #expect(try runner.inspect("listeners").map { $0["address"] } == ["198.18.2.3"])
    }
  }
}
