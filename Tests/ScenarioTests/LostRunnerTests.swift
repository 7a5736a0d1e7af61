import TestSupport
import Testing

@Suite("A runner that is lost", .timeLimit(.minutes(10)))
struct LostRunnerTests {
  @Test("A silent runner is unreachable, until it is back")
  func silent() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")

      try cluster.wire.cut(2)
      #expect(["EHOSTUNREACH", "ETIMEDOUT"].contains(try app.tell("wait", "$WARP_IST_db", 3211)))
      // Its lease ends: the service then has no instance.
      let isGone = try cluster[1].eventually(within: 30) {
        try cluster[1].reachable("shop/db").isEmpty
      }
      #expect(isGone)
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")

      try cluster.wire.mend(2)
      let isBack = try cluster[1].eventually(within: 30) {
        try !cluster[1].reachable("shop/db").isEmpty
      }
      #expect(isBack)
      #expect(try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
    }
  }

  @Test("While a third runner has an instance, the program does not notice")
  func thirdRunner() async throws {
    try await ClusterLaboratory.with(runners: 3) { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      for number in [2, 3] { try cluster.instance(of: "shop/db", on: number).listen(3211) }
      #expect(try app.tally("$WARP_IST_db", 3211, times: 40).count == 2)
      try cluster.wire.cut(2)
      for _ in 0..<4 {
        #expect(try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.3")
      }
    }
  }

  @Test("With daemon and relay of either side killed, connects fail; with them back, they work")
  func killedRunner() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      for number in [2, 1] {
        #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
        cluster[number].killAll()
        #expect(try app.tell("echo", "$WARP_IST_db", 3211) != "ping")
        let outcome = try app.tell("wait", "$WARP_IST_db", 3211)
        #expect(["EHOSTUNREACH", "ECONNREFUSED"].contains(outcome), "\(outcome)")
        try cluster[number].startDaemon()
        let works = try cluster[1].eventually {
          try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
        }
        #expect(works, "after runner \(number) was killed")
      }
    }
  }
}
