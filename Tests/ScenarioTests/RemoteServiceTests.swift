import TestSupport
import Testing

@Suite("A service on another runner", .timeLimit(.minutes(10)))
struct RemoteServiceTests {
  @Test("It is reached as one on this runner is, and sees who calls")
  func reached() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)

      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      #expect(try db.tell("last_caller") == "198.18.1.2")
      #expect(try app.connect("198.18.2.2", 3211) == "shop/db at 198.18.2.2")
      #expect(try app.tell("hold", "db.warp", 3211) == "shop/db at 198.18.2.2")
      #expect(try app.tell("echo", "db.warp", 3211) == "ping")
      #expect(try app.tell("peer", "$WARP_IST_db", 3211) == "198.18.2.1")
    }
  }

  @Test("A connection that is over keeps no port from being used again, whoever ended it first")
  func over() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      _ = try app.tally("$WARP_IST_db", 3211, times: 20)
      _ = try app.tell("hold", "$WARP_IST_db", 3211)
      db.program.stop()
      for runner in 1...2 {
        let fabric = "\(cluster[runner].installation.fabricPrefix)shop"
        let waiting = try run(
          "ip", "netns", "exec", fabric, "ss", "-tanH", "state", "time-wait")
        #expect(waiting.output == "")
      }
    }
  }

  @Test("A port on which nobody listens there is refused, and nc -z tells the truth")
  func truth() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      func probe() throws -> Int32 {
        try cluster[1].runInstance("shop/app", "nc", "-z", "-w", "5", "198.18.2.1", "3211").status
      }
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")
      #expect(try probe() == 1)
      try db.listen(3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      #expect(try probe() == 0)
      _ = try db.tell("unlisten", 3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")
      #expect(try probe() == 1)
    }
  }

  @Test("Its instances appear and vanish on every runner, without a word to anybody")
  func coming() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")
      // `instance` waits until each runner knows of it.
      let first = try cluster.instance(of: "shop/db", on: 2)
      let second = try cluster.instance(of: "shop/db", on: 2)
      for db in [first, second] { try db.listen(3211) }
      #expect(try app.tally("$WARP_IST_db", 3211, times: 60).count == 2)

      first.program.stop()
      #expect(try cluster[1].eventually { try cluster[1].reachable("shop/db") == ["198.18.2.3"] })
      #expect(try app.tally("$WARP_IST_db", 3211, times: 20) == ["shop/db at 198.18.2.3": 20])
      second.program.stop()
      #expect(try cluster[1].eventually { try cluster[1].reachable("shop/db").isEmpty })
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")
    }
  }

  @Test("Another deployment's instances cannot reach it, on either runner")
  func isolated() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      try cluster.deploy("other", "app")
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      for number in [1, 2] {
        let other = try cluster.instance(of: "other/app", on: number)
        #expect(try other.connect("198.18.2.2", 3211) == "EHOSTUNREACH")
        #expect(try other.connect("198.18.2.1", 3211) == "EHOSTUNREACH")
        #expect(try other.connect(ClusterWire.address(2), 7443) == "EPERM")
      }
    }
  }
}
