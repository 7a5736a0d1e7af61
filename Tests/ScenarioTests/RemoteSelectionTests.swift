import TestSupport
import Testing

@Suite("Which instance answers, of those on several runners", .timeLimit(.minutes(10)))
struct RemoteSelectionTests {
  @Test("Those of the caller's runner, and others as soon as none of these listens")
  func localFirst() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let near = try cluster.instance(of: "shop/db", on: 1)
      let far = try cluster.instance(of: "shop/db", on: 2)
      for db in [near, far] { try db.listen(3211) }
      #expect(try app.tally("$WARP_IST_db", 3211, times: 40) == ["shop/db at 198.18.2.2": 40])

      _ = try near.tell("unlisten", 3211)
      #expect(try app.tally("$WARP_IST_db", 3211, times: 40) == ["shop/db at 198.18.2.3": 40])
      try near.listen(3211)
      #expect(try app.tally("$WARP_IST_db", 3211, times: 40) == ["shop/db at 198.18.2.2": 40])
      near.program.stop()
      #expect(try app.tally("$WARP_IST_db", 3211, times: 40) == ["shop/db at 198.18.2.3": 40])
    }
  }

  @Test("With spread all of them, on whichever runner, alike")
  func spread() async throws {
    try await ClusterLaboratory.with(selection: .spread) { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      for number in [1, 2, 2] { try cluster.instance(of: "shop/db", on: number).listen(3211) }
      let counts = try app.tally("$WARP_IST_db", 3211, times: 300)
      // Of 300 at random 100 each are expected; fewer than 50 come once in 10^9 times.
      #expect(counts.count == 3 && counts.values.allSatisfy { $0 > 50 }, "\(counts)")
      #expect(try cluster[1].inspect("services").allSatisfy { $0["selection"] == "spread" })
    }
  }

  @Test("An instance of another runner that refuses is passed over for the next")
  func refusing() async throws {
    try await ClusterLaboratory.with(runners: 3) { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      _ = try cluster.instance(of: "shop/db", on: 2)
      try cluster.instance(of: "shop/db", on: 3).listen(3211)
      #expect(try app.tally("$WARP_IST_db", 3211, times: 40) == ["shop/db at 198.18.2.3": 40])
    }
  }

  @Test("A selection that is none is refused, with those that there are")
  func unknown() async throws {
    try await ClusterLaboratory.with(runners: 1) { cluster in
      cluster[1].killDaemon()
      let result = try cluster[1].refusedDaemon(wrapper: ["env", "ISTBPF_SELECTION=random"])
      #expect(result.status == 1)
      #expect(
        result.errors.contains("selection is random, and can be local-first or spread"),
        "\(result.errors)")
    }
  }
}
