import Foundation
import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite("What programs see of a connection to another runner", .timeLimit(.minutes(10)))
struct RemoteConnectionTests {
  /// An instance of app on runner 1, and one of db on runner 2 that listens on port 3211.
  private static func pair(
    _ cluster: ClusterLaboratory
  ) throws -> (app: TestInstance, db: TestInstance) {
    try cluster.deploy("shop", "app", "db")
    let app = try cluster.instance(of: "shop/app", on: 1)
    let db = try cluster.instance(of: "shop/db", on: 2)
    try db.listen(3211)
    return (app, db)
  }

  @Test("A relay that is killed resets what it carried: a half of it must not pass for the whole")
  func killedRelay() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      for (port, runner) in [(3211, 1), (3212, 2)] {
        try db.listen(port)
        #expect(try app.tell("hold", "$WARP_IST_db", port) == "shop/db at 198.18.2.2")
        cluster[runner].killRelay()
        #expect(try app.tell("ending", "$WARP_IST_db", port, 20) == "ECONNRESET")
        #expect(try db.tell("served", port, 20) == "ECONNRESET")
        #expect(try app.connect("$WARP_IST_db", port).hasPrefix("shop/db"))
      }
    }
  }

  @Test(
    "So does one that dies in the middle of a transfer, however it dies",
    arguments: [(SIGKILL, 1), (SIGKILL, 2), (SIGSEGV, 1), (SIGABRT, 2)])
  func diesInTransfer(signal: Int32, runner: Int) async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, db) = try Self.pair(cluster)
      #expect(try app.tell("transfer", "$WARP_IST_db", 3211) == "transferring")
      usleep(200_000)
      cluster[runner].killRelay(by: signal)
      let ends = try app.tell("transferred", "$WARP_IST_db", 3211, 20)
      #expect(ends.contains("ECONNRESET"), "\(ends)")
      #expect(try db.tell("served", 3211, 20) == "ECONNRESET")
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
    }
  }

  @Test("A relay that hangs is killed, so that its connections do not stand still for ever")
  func hangs() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      #expect(try app.tell("transfer", "$WARP_IST_db", 3211) == "transferring")
      let relay = try ProcessHandle(try cluster[1].relay())
      relay.signal(SIGSTOP)
      let ends = try app.tell("transferred", "$WARP_IST_db", 3211, 60)
      #expect(ends.contains("ECONNRESET"), "\(ends)")
      #expect(relay.awaitEnd(within: 5000))
      #expect(cluster[1].logs("istbpf-relay does not answer: it is killed"))
      let works = try cluster[1].eventually {
        try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
      }
      #expect(works)
    }
  }

  @Test("Connects that begin at once right after a relay has begun anew all succeed")
  func burstAfterRestart() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      for runner in [1, 2] {
        cluster[runner].killRelay()
        #expect(try app.tell("burst", "$WARP_IST_db", 3211, 200) == #"{"connected": 200}"#)
        #expect(try cluster[runner].istbpf("runner", "restart-relay").status == 0)
        #expect(try app.tell("burst", "$WARP_IST_db", 3211, 200) == #"{"connected": 200}"#)
      }
    }
  }

  @Test("Connects that begin at once and stay open all succeed, though one tunnel at most is ready")
  func burst() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      #expect(try app.tell("burst", "$WARP_IST_db", 3211, 250) == #"{"connected": 250}"#)
    }
  }

  @Test("The server sees the port that the caller has")
  func sourcePort() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      for _ in 0..<20 {
        let ports = try app.tell("source_port", "$WARP_IST_db", 3211).split(separator: " ")
        #expect(ports.count == 4 && ports[0] == ports[2])
      }
    }
  }

  @Test("A caller that closes its socket before it is connected leaves no silent connection there")
  func givenUp() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, db) = try Self.pair(cluster)
      _ = try app.connect("$WARP_IST_db", 3211)
      _ = try app.tell("give_up", "$WARP_IST_db", 3211, 20)
      let start = ContinuousClock.now
      // Most are reset; one whose caller was interrupted before it closed had been connected, and ends in order.
      var counts = ("", "")
      let ended = try cluster[1].eventually {
        counts = (try db.tell("count_callers"), try db.tell("count_ended"))
        return counts == ("21", "21")
      }
      #expect(ended, "\(counts.0) have come, and \(counts.1) have ended")
      #expect(try db.tell("served", 3211, 10).contains("ECONNRESET"))
      // The flow would be forgotten after 15 s anyway.
      #expect(ContinuousClock.now - start < .seconds(10 * slowness))
      #expect(try cluster[1].inspect("flows").isEmpty)
    }
  }
}
