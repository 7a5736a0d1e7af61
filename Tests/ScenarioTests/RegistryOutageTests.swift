import Glibc
import TestSupport
import Testing

@Suite("When etcd is away", .timeLimit(.minutes(10)))
struct RegistryOutageTests {
  /// An instance of app on runner 1, and one of db on runner 2, which listens on port 3211.
  private func shop(on cluster: ClusterLaboratory) throws -> (app: TestInstance, db: TestInstance) {
    try cluster.deploy("shop", "app", "db")
    let app = try cluster.instance(of: "shop/app", on: 1)
    let db = try cluster.instance(of: "shop/db", on: 2)
    try db.listen(3211)
    return (app, db)
  }

  /// Waits until runner 1 receives changes of others, or does not.
  private func expectCurrent(_ isCurrent: Bool, _ cluster: ClusterLaboratory) throws {
    let line = "\nistbpf_registry_current \(isCurrent ? 1 : 0)\n"
    let hasIt = try cluster[1].eventually(within: 20) {
      try cluster.get("/metrics", from: 1).contains(line)
    }
    #expect(hasIt)
  }

  @Test("What was known goes on beyond every lease, and a change is refused clearly")
  func away() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try shop(on: cluster)
      _ = try app.tell("load", "$WARP_IST_db", 3211, 300, 20)
      cluster.etcd.stop()
      try expectCurrent(false, cluster)
      #expect(try app.tell("result") == "0 of 300 failed", "for longer than a lease")
      #expect(try cluster[1].istbpf("status").output.contains("REGISTRY: "))
      let refused = try cluster[1].istbpf("deploy", "-d", "shop", "-s", "new")
      #expect(refused.status == 1)
      #expect(refused.errors.contains("registry cannot be reached"), "\(refused.errors)")
      try cluster.etcd.start()
      try expectCurrent(true, cluster)
      let isDone = try cluster[1].eventually {
        try cluster[1].istbpf("deploy", "-d", "shop", "-s", "new").status == 0
      }
      #expect(isDone)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
    }
  }

  @Test("Daemons that restart meanwhile know what they knew, and no wall is lower")
  func restarted() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, db) = try shop(on: cluster)
      try cluster.deploy("other", "app")
      let other = try cluster.instance(of: "other/app", on: 1)
      cluster.etcd.stop()
      for number in [1, 2] {
        cluster[number].killDaemon()
        try cluster[number].startDaemon()
      }
      #expect(try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      #expect(try other.connect("198.18.2.2", 3211) == "EHOSTUNREACH")
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
      db.program.stop()
      #expect(try app.tell("wait", "$WARP_IST_db", 3211) != "shop/db at 198.18.2.2")

      try cluster.etcd.start()
      try expectCurrent(true, cluster)
      let isTold = try cluster[1].eventually { try cluster[1].reachable("shop/db").isEmpty }
      #expect(isTold, "of the instance that ended meanwhile")
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.3")
    }
  }

  @Test("All endpoints deleted at once: not one request fails, and they are put again")
  func deleted() async throws {
    try await ClusterLaboratory.with { cluster in
      let endpoints = "/istbpf/v1/\(ClusterLaboratory.name)/endpoints/"
      try cluster.deploy("shop", "app", "db")
      try cluster.deploy("other", "app")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let other = try cluster.instance(of: "other/app", on: 1)
      for _ in 1...2 { try cluster.instance(of: "shop/db", on: 2).listen(3211) }
      let before = try cluster.etcd.keys(endpoints)
      #expect(before.count == 4)
      _ = try app.tell("load", "$WARP_IST_db", 3211, 150, 20)
      for _ in 1...3 {
        usleep(300_000)
        try cluster.etcd.delete(endpoints)
      }
      #expect(try other.connect("198.18.2.2", 3211) == "EHOSTUNREACH")
      #expect(try app.tell("result") == "0 of 150 failed")
      #expect(try cluster[1].eventually { try cluster.etcd.keys(endpoints) == before })
    }
  }

  @Test("A runner that never knew anything waits for nothing: it says where etcd should be")
  func unknown() async throws {
    try await ClusterLaboratory.with(runners: 1) { cluster in
      cluster.etcd.stop()
      let result = try cluster.addRunner().refusedDaemon()
      #expect(result.status == 1)
      #expect(
        result.errors.contains("registry cannot be reached at \(ClusterEtcd.url)"),
        "\(result.errors)")
    }
  }
}
