import Foundation
import TestSupport
import Testing

/// What is away for minutes. Here it is for a shorter time, though for longer than every limit of the
/// daemon's that it meets; `Scripts/endure` runs the same tests at full length.
@Suite("Outages of minutes", .timeLimit(.minutes(30)))
struct LongOutageTests {
  /// How long something is away, in seconds: `variable`, or else `short`.
  private static func seconds(_ variable: String, _ short: Int) -> Int {
    ProcessInfo.processInfo.environment[variable].flatMap { Int($0) } ?? short
  }

  /// Instances on both runners that talk to each other and within their runner, and one of another
  /// deployment on each.
  private struct Stage {
    /// Of app on runner 1 and 2.
    let apps: [TestInstance]
    /// Of cache, which listens on port 6379, on runner 1 and 2.
    let caches: [TestInstance]
    /// Of db, which listens on port 3211, on runner 2.
    let db: TestInstance
    let strangers: [TestInstance]
    private var crowd: [TestInstance] = []

    init(_ cluster: ClusterLaboratory) throws {
      try cluster.deploy("shop", "app", "cache", "db", "new")
      try cluster.deploy("other", "app")
      apps = try [1, 2].map { try cluster.instance(of: "shop/app", on: $0) }
      caches = try [1, 2].map { try cluster.instance(of: "shop/cache", on: $0) }
      db = try cluster.instance(of: "shop/db", on: 2)
      strangers = try [1, 2].map { try cluster.instance(of: "other/app", on: $0) }
      // Were more than half of all instances on runner 2, their loss would be held for a minute.
      for _ in 1...2 { crowd.append(try cluster.instance(of: "other/app", on: 1)) }
      for cache in caches { try cache.listen(6379) }
      try db.listen(3211)
    }

    /// Begins five requests a second of each app to the cache on its runner, for so many seconds.
    func load(_ seconds: Int) throws {
      for app in apps { _ = try app.tell("load", "$WARP_IST_cache", 6379, seconds * 5, 200) }
    }

    /// That no request failed.
    func expectLoad(_ seconds: Int) throws {
      for app in apps {
        let outcome = try app.tell("result")
        #expect(outcome == "0 of \(seconds * 5) failed")
      }
    }

    /// That nobody gets where they must not.
    func expectWalls() throws {
      for (app, stranger) in zip(apps, strangers) {
        for address in ["198.18.2.2", "198.18.3.2"] {
          #expect(try stranger.tell("wait", address, 3211) == "EHOSTUNREACH")
        }
        for instance in [app, stranger] {
          #expect(try instance.tell("wait", "192.0.2.1", 80) == "EPERM")
        }
      }
    }
  }

  /// What a daemon holds: descriptors, and resident memory in MiB.
  private func holdings(_ runner: RunnerLaboratory) throws -> (descriptors: Int, memory: Int) {
    let process = try #require(runner.daemon).processID
    let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
    let kibibytes = try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first)
    let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd")
    return (descriptors.count, try #require(Int(kibibytes)) / 1024)
  }

  /// That both daemons hold what they held before, and logged little.
  private func expectFrugal(
    _ cluster: ClusterLaboratory, since before: [(descriptors: Int, memory: Int)]
  ) throws {
    for (number, before) in zip([1, 2], before) {
      var now = before
      let isFrugal = try cluster[number].eventually(within: 60) {
        now = try holdings(cluster[number])
        // Tunnels and their sockets come and go by tens.
        return now.descriptors <= before.descriptors + 60
      }
      #expect(isFrugal, "runner \(number): \(before) has become \(now)")
      #expect(now.memory <= before.memory + 40, "runner \(number): \(before) has become \(now)")
      let log = cluster[number].daemon?.log ?? ""
      #expect(log.utf8.count < 200_000, "runner \(number): \(log.utf8.count) bytes of log")
    }
  }

  @Test("A runner that the network cuts off for minutes goes on alone, and is found again after")
  func network() async throws {
    // Longer than the 45 s after which a connection is given up.
    let away = Self.seconds("ENDURE_CUT_SECONDS", 50)
    try await ClusterLaboratory.with { cluster in
      let stage = try Stage(cluster)
      #expect(try stage.apps[0].tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.3.2")
      #expect(try stage.apps[0].tell("echo", "$WARP_IST_db", 3211) == "ping")
      let before = try [1, 2].map { try holdings(cluster[$0]) }
      try stage.load(away)
      try cluster.wire.cut(2)
      let end = ContinuousClock.now + .seconds(away)

      // The one that was there is given up on this side, and on the far side too.
      let ending = try stage.apps[0].tell("ending", "$WARP_IST_db", 3211, 48)
      #expect(["ETIMEDOUT", "ECONNRESET"].contains(ending))
      #expect(try stage.db.tell("served", 3211, 10) != "timeout")
      // By now runner 2's lease is over, and runner 1 knows of no db.
      #expect(try stage.apps[0].tell("wait", "$WARP_IST_db", 3211) == "ECONNREFUSED")
      #expect(try stage.apps[1].connect("$WARP_IST_db", 3211) == "shop/db at 198.18.3.2")
      let refused = try cluster[2].runInstance("shop/new", "true")
      #expect(refused.status != 0 && refused.errors.contains("registry cannot be reached"))
      while ContinuousClock.now < end {
        try stage.expectWalls()
        sleep(1)
      }
      try stage.expectLoad(away)

      try cluster.wire.mend(2)
      let isBack = try cluster[1].eventually(within: 30) {
        try cluster[1].reachable("shop/db") == ["198.18.3.2"]
      }
      #expect(isBack, "with the address that it had")
      #expect(try stage.apps[0].tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.3.2")
      #expect(
        try cluster[2].eventually(within: 30) {
          try cluster[2].runInstance("shop/new", "true").status == 0
        })
      try stage.expectWalls()
      try expectFrugal(cluster, since: before)
    }
  }

  @Test(
    "While etcd is down for minutes what runs goes on, also across runners and daemons' restarts")
  func registry() async throws {
    // Several leases of `ClusterLaboratory`.
    let away = Self.seconds("ENDURE_ETCD_OUTAGE_SECONDS", 15)
    try await ClusterLaboratory.with { cluster in
      let stage = try Stage(cluster)
      #expect(try stage.apps[0].tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.3.2")
      let before = try [1, 2].map { try holdings(cluster[$0]) }
      try stage.load(away)
      cluster.etcd.stop()
      let end = ContinuousClock.now + .seconds(away)

      var connects = 0
      while ContinuousClock.now < end {
        // Not `connect`, which gives up after a second: the machine may be busy for longer.
        let answer = try stage.apps[0].tell("wait", "$WARP_IST_db", 3211)
        #expect(answer == "shop/db at 198.18.3.2", "connect \(connects)")
        #expect(try stage.apps[0].tell("echo", "$WARP_IST_db", 3211) == "ping")
        try stage.expectWalls()
        connects += 1
        usleep(500_000)
      }
      #expect(connects > away / 3, "\(connects)")
      try stage.expectLoad(away)
      let refused = try cluster[1].istbpf("deploy", "-d", "shop", "-s", "late")
      #expect(refused.status == 1 && refused.errors.contains("registry cannot be reached"))
      try expectFrugal(cluster, since: before)
      // Both are started anew while it is away still, and know all that they knew.
      for number in [1, 2] {
        cluster[number].killDaemon()
        try cluster[number].startDaemon()
      }
      #expect(try stage.apps[0].tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.3.2")
      try stage.expectWalls()

      try cluster.etcd.start()
      #expect(
        try cluster[1].eventually(within: 60) {
          try cluster[1].istbpf("deploy", "-d", "shop", "-s", "late").status == 0
        })
      for number in [1, 2] {
        #expect(
          try cluster[number].eventually {
            try cluster[number].istbpf("env", "shop/late").status == 0
          })
        #expect(try cluster[number].reachable("shop/db") == ["198.18.3.2"])
      }
      #expect(try stage.apps[0].tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.3.2")
      try stage.expectWalls()
    }
  }
}
