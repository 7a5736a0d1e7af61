import Model
import RelayControl
import TestSupport
import Testing
import Tunnel

@Suite("A runner that is emptied", .timeLimit(.minutes(10)))
struct DrainedRunnerTests {
  @Test("It takes no new instances, and connections go to others while one of these accepts")
  func drained() async throws {
    try await ClusterLaboratory.with(runners: 3) { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      _ = try cluster.instance(of: "shop/db", on: 2).listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      let other = try cluster.instance(of: "shop/db", on: 3)
      try other.listen(3211)

      // What is connected is told of, and reset once the time is over.
      let drain = try cluster[2].istbpf("runner", "drain", "runner2", "--timeout", "1")
      #expect(
        drain.output == """
          runner2 is drained: it takes no new instances
          left: shop/app.2 to shop/db.2: 1
          reset 1 connections

          """, "\(drain.errors)")
      #expect(try app.tell("ending", "$WARP_IST_db", 3211, slowness) == "ECONNRESET")
      #expect(
        try cluster[1].eventually { try Self.states(cluster) == ["there", "drained", "there"] })
      #expect(try app.tally("$WARP_IST_db", 3211, times: 40) == ["shop/db at 198.18.2.3": 40])

      // It holds for an istbpfd that is started anew.
      cluster[2].killDaemon()
      try cluster[2].startDaemon()
      let refused = try cluster[2].istbpf("run", "-d", "shop", "-s", "db", "--", "true")
      #expect(
        refused.status == 1 && refused.errors.contains("runner \"runner2\" is drained"),
        "\(refused.errors)")
      #expect(try app.tally("$WARP_IST_db", 3211, times: 20) == ["shop/db at 198.18.2.3": 20])

      // Its instances are better than none that accepts.
      _ = try other.tell("unlisten", 3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      try other.listen(3211)

      #expect(
        try cluster[2].istbpf("runner", "undrain", "runner2").output
          == "runner2 takes instances again\n")
      let isShared = try cluster[1].eventually {
        try app.tally("$WARP_IST_db", 3211, times: 40).count == 2
      }
      #expect(isShared)
      #expect(try cluster[2].istbpf("run", "-d", "shop", "-s", "db", "--", "true").status == 0)
    }
  }

  @Test("With spread, its instances get nothing while one of the caller's own runner listens")
  func spread() async throws {
    try await ClusterLaboratory.with(selection: .spread) { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      for number in [1, 2] { try cluster.instance(of: "shop/db", on: number).listen(3211) }
      #expect(try app.tally("$WARP_IST_db", 3211, times: 60).count == 2)
      let drain = try cluster[2].istbpf("runner", "drain", "runner2")
      #expect(drain.output.hasSuffix("no connection is left\n"), "\(drain.errors)")
      let isAlone = try cluster[1].eventually {
        try app.tally("$WARP_IST_db", 3211, times: 40) == ["shop/db at 198.18.2.2": 40]
      }
      #expect(isAlone)
    }
  }

  @Test("A service that moves to another runner loses no new connection on the way")
  func moved() async throws {
    try await ClusterLaboratory.with(runners: 3) { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let old = try cluster.instance(of: "shop/db", on: 2)
      try old.listen(3211)
      _ = try app.tell("attempts", "$WARP_IST_db", 3211, 20)
      let drain = try cluster[2].istbpf("runner", "drain", "runner2", "--timeout", "0")
      #expect(drain.status == 0, "\(drain.errors)")
      let new = try cluster.instance(of: "shop/db", on: 3)
      try new.listen(3211)
      let hasMoved = try cluster[1].eventually {
        try app.tell("connect", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.3"
      }
      #expect(hasMoved)
      old.program.stop()
      let isGone = try cluster[1].eventually {
        try cluster[1].reachable("shop/db").count == 1
      }
      #expect(isGone)
      #expect(try app.tell("attempted") == "0 failed")
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.3")
    }
  }

  @Test("Another runner's name, one that is none, and a bad time are refused")
  func refused() async throws {
    try await ClusterLaboratory.with { cluster in
      for (arguments, expected) in [
        (["drain", "runner2"], "this is runner runner1: run the command on runner2"),
        (["undrain", "runer1"], "did you mean \"runner1\"?"),
        (["drain", "runner1", "--timeout=-1"], "--timeout is -1, and is a number of seconds"),
      ] {
        let result = try cluster[1].istbpf(["runner"] + arguments)
        #expect(result.status != 0 && result.errors.contains(expected), "\(result.errors)")
      }
      #expect(try Self.states(cluster) == ["there", "there"])
    }
  }

  @Test(
    "Requests of the front door go to this runner's instances first, and to those of emptied runners last"
  )
  func frontDoor() throws {
    let plan = AddressPlan.standard
    let shop = try DeploymentName("shop")
    let directory = InstanceDirectory(plan: plan, cluster: "prod", own: "r1")
    var entry = InstanceDirectory.Entry(id: 1, name: shop)
    entry.instances = [(2, "r1"), (3, "r2"), (4, "r3")].map {
      InstanceDirectory.Entry.Instance(address: plan.instanceAddress(1, $0), runner: $1)
    }
    directory.update(entry)
    let runners = ["r1": "192.0.2.1:7443", "r2": "192.0.2.2:7443", "r3": "192.0.2.3:7443"]
    func order(_ drained: Set<String>) -> [String] {
      directory.update(runners: runners, drained: drained)
      return directory.destinations(to: 1, of: shop).map { way in
        switch way {
        case .local: "r1"
        case .remote(_, let peer): peer.runner.name
        }
      }
    }
    for _ in 0..<20 {
      #expect(order([]).first == "r1")
      #expect(order(["r2"]) == ["r1", "r3", "r2"])
      #expect(order(["r1"]).last == "r1")
    }
  }

  /// What runner 1 says of each.
  private static func states(_ cluster: ClusterLaboratory) throws -> [String] {
    try cluster[1].istbpf("runner", "list").output.split(separator: "\n").dropFirst()
      .map { String($0.split(separator: " ")[1]) }
  }
}
