import Foundation
import LinuxSystem
import TestSupport
import Testing

/// istbpfd and istbpf-relay are killed again and again under load; `Scripts/endure` does it more often.
@Suite("Processes that are killed again and again", .timeLimit(.minutes(30)))
struct KilledProcessTests {
  /// How often something is killed: `variable`, or else `few`.
  private static func times(_ variable: String, _ few: Int) -> Int {
    ProcessInfo.processInfo.environment[variable].flatMap { Int($0) } ?? few
  }

  @Test(
    "Through kills of either istbpfd no request between runners fails, on old connections and new")
  func daemons() async throws {
    let kills = Self.times("ENDURE_DAEMON_KILLS", 4)
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      // Twenty requests a kill on connections of their own, and as many on one that stays.
      _ = try app.tell("load", "$WARP_IST_db", 3211, kills * 20, 50 * slowness)
      for kill in 0..<kills {
        let runner = cluster[1 + kill % 2]
        runner.killDaemon()
        try runner.startDaemon()
      }
      let result = try app.tell("result")
      #expect(result == "0 of \(kills * 20) failed")
      print(
        "through \(kills) kills the slowest of \(kills * 40) requests took \(try app.tell("slowest")) ms"
      )
    }
  }

  @Test("Through kills of a relay new connections wait and succeed, and nothing is left of it")
  func relays() async throws {
    let kills = Self.times("ENDURE_RELAY_KILLS", 6)
    try await ClusterLaboratory.with { cluster in
      let (app, db) = try Self.pair(cluster)
      var slowest = Duration.zero
      var before: [Int: Holdings] = [:]
      for kill in 0..<kills {
        let number = 1 + kill % 2
        #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
        cluster[number].killRelay()
        let start = ContinuousClock.now
        #expect(try app.connect("$WARP_IST_db", 3212) == "shop/db at 198.18.2.2")
        slowest = max(slowest, ContinuousClock.now - start)
        #expect(try app.tell("ending", "$WARP_IST_db", 3211, slowness) == "ECONNRESET")
        #expect(try db.tell("served", 3211, slowness).contains("ECONNRESET"))
        if kill < 2 { before[number] = try Holdings(cluster[number]) }
      }
      for (number, before) in before {
        let isSame = try cluster[number].eventually {
          let after = try Holdings(cluster[number])
          return after.descriptors <= before.descriptors + 8 && after.flows == 0
        }
        let after = try Holdings(cluster[number])
        #expect(isSame, "\(before) to \(after)")
      }
      print("through \(kills) kills the slowest new connection took \(slowest)")
      #expect(slowest < .seconds(5 * slowness), "a SYN is sent again after a second")
    }
  }

  /// What is held on a runner.
  private struct Holdings {
    /// Of istbpfd.
    let descriptors: Int
    let flows: Int

    init(_ runner: RunnerLaboratory) throws {
      let process = try #require(runner.daemon).processID
      descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count
      flows = try runner.inspect("flows").count
    }
  }

  /// An instance of each service on a runner of its own; db listens.
  private static func pair(_ cluster: ClusterLaboratory) throws -> (TestInstance, TestInstance) {
    try cluster.deploy("shop", "app", "db")
    let app = try cluster.instance(of: "shop/app", on: 1)
    let db = try cluster.instance(of: "shop/db", on: 2)
    for port in [3211, 3212] { try db.listen(port) }
    #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
    return (app, db)
  }
}
