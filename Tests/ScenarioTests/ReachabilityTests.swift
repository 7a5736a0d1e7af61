import TestSupport
import Testing

@Suite("Services of a deployment reach each other", .timeLimit(.minutes(10)))
struct ReachabilityTests {
  @Test("Two instances of app reach db through its variable and its name, on any port")
  func everyWay() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211")
      let db = try runner.instance(of: "shop/db")
      for port in [3211, 1, 65535] { try db.listen(port) }
      let apps = try (1...2).map { _ in try runner.instance(of: "shop/app") }
      for app in apps {
        for port in [3211, 1, 65535] {
          #expect(try app.connect("$WARP_IST_db", port) == "shop/db at 198.18.2.2")
          #expect(try app.connect("db.warp", port) == "shop/db at 198.18.2.2")
        }
      }
    }
  }

  @Test("A connection is not paced, whatever the host's congestion control is")
  func unpaced() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      #expect(
        try app.tell("congestion_control", "$WARP_IST_db", 3211)
          == "reno here, reno at shop/db at 198.18.2.2")
    }
  }

  @Test("getpeername() shows the address that was asked for")
  func peer() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let db = try runner.instance(of: "shop/db")
      try db.listen(3211)
      let app = try runner.instance(of: "shop/app")
      #expect(try app.tell("peer", "$WARP_IST_db", 3211) == "198.18.2.1")
      #expect(try app.tell("peer", "198.18.2.2", 3211) == "198.18.2.2")
    }
  }

  @Test("An IPv6 socket reaches a v4-mapped address where the kernel has IPv6")
  func mapped() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let (inet6, stream) = (10, 1)
      // The host's own socket(): the kernel decides what is to be expected.
      let host = try run("/usr/bin/python3", "-c", "import socket; socket.socket(socket.AF_INET6)")
      if host.status == 0 {
        #expect(try app.connect("::ffff:$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
        #expect(try app.tell("peer", "::ffff:$WARP_IST_db", 3211) == "::ffff:198.18.2.1")
        #expect(try app.connect("fd00::1", 3211) == "EPERM")
      } else {
        #expect(try app.tell("make_socket", inet6, stream, 0) == "EAFNOSUPPORT")
      }
    }
  }

  @Test("An instance's own address, its own service and loopback can be connected to")
  func directly() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let dbs = try (1...2).map { _ in try runner.instance(of: "shop/db") }
      for db in dbs { try db.listen(3211) }
      let app = try runner.instance(of: "shop/app")
      try app.listen(8080)
      #expect(try app.connect("198.18.2.2", 3211) == "shop/db at 198.18.2.2")
      #expect(try app.connect("198.18.2.3", 3211) == "shop/db at 198.18.2.3")
      #expect(try app.connect("$WARP_IST_app", 8080) == "shop/app at 198.18.1.2")
      #expect(try app.connect("198.18.1.2", 8080) == "shop/app at 198.18.1.2")
      #expect(try app.connect("127.0.0.1", 8080) == "shop/app at 127.0.0.1")
    }
  }
}
