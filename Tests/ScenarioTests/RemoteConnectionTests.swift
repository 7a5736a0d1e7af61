import Foundation
import Glibc
import TestSupport
import Testing

@Suite("What programs see of a connection to another runner", .timeLimit(.minutes(10)))
struct RemoteConnectionTests {
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

  @Test("Connects that begin at once and stay open all succeed, though no tunnel is ready")
  func burst() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      #expect(try app.tell("burst", "$WARP_IST_db", 3211, 250) == #"{"connected": 250}"#)
    }
  }

  @Test("The server sees the port that the caller has")
  func sourcePort() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      for _ in 0..<20 {
        let ports = try app.tell("source_port", "$WARP_IST_db", 3211).split(separator: " ")
        #expect(ports.count == 4 && ports[0] == ports[2])
      }
    }
  }

  @Test("A caller that closes its socket before it is connected leaves no silent connection there")
  func givenUp() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      _ = try app.connect("$WARP_IST_db", 3211)
      _ = try app.tell("give_up", "$WARP_IST_db", 3211, 20)
      let start = ContinuousClock.now
      let ended = try cluster[1].eventually {
        try db.tell("served", 3211, 10).split(separator: " ").count == 20
      }
      #expect(ended)
      // The flow would be forgotten after 15 s anyway.
      #expect(ContinuousClock.now - start < .seconds(10 * slowness))
      #expect(try cluster[1].inspect("flows").isEmpty)
    }
  }
}
