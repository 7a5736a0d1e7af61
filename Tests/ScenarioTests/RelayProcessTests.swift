import Foundation
import Glibc
import LinuxSystem
import RelayControl
import TestSupport
import Testing

@Suite("istbpf-relay carries connections, with or without istbpfd", .timeLimit(.minutes(10)))
struct RelayProcessTests {
  @Test("With either istbpfd killed, connections between runners go on, and new ones begin")
  func withoutDaemon() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, db) = try Self.pair(cluster)
      for number in [1, 2] {
        #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
        cluster[number].killDaemon()
        #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
        for _ in 0..<20 {
          #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
          #expect(try db.connect("$WARP_IST_app", 3211) == "shop/app at 198.18.1.2")
        }
        // An instance of another service is found, and one that nobody has is refused.
        #expect(try app.connect("$WARP_IST_db", 3999) == "ECONNREFUSED")
        try cluster[number].startDaemon()
        #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
        #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      }
    }
  }

  @Test("A runner whose lease ended is known on, as stale, while its relay answers, and not longer")
  func stale() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, db) = try Self.pair(cluster)
      cluster[2].killDaemon()
      let isStale = try cluster[1].eventually(within: 30) {
        try cluster[1].istbpf("runner", "list").output.contains("stale")
      }
      #expect(isStale)
      for _ in 0..<3 {
        sleep(UInt32(ClusterLaboratory.lease))
        #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
        #expect(try db.connect("$WARP_IST_app", 3211) == "shop/app at 198.18.1.2")
      }
      // What this istbpfd was told last, the next one knows as well.
      cluster[1].killDaemon()
      try cluster[1].startDaemon()
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")

      try cluster[2].startDaemon()
      let isBack = try cluster[1].eventually(within: 30) {
        try !cluster[1].istbpf("runner", "list").output.contains("stale")
      }
      #expect(isBack)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")

      cluster[2].killDaemon()
      cluster[2].killRelay()
      let isGone = try cluster[1].eventually(within: 60) {
        try cluster[1].reachable("shop/db").isEmpty
      }
      #expect(isGone)
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")
    }
  }

  @Test(
    "A relay that is to end if it carries nothing goes on as long as it does, and is missed by nobody"
  )
  func stoppedIfIdle() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      let relay = try cluster[1].relay()
      guard let socket = UnixSocket.connected(to: cluster[1].installation.relaySocketPath) else {
        Issue.record("its socket cannot be opened")
        return
      }
      let channel = try DescriptorChannel(socket)
      func stop(_ number: UInt64) throws -> Istbpf_Relay_V1_Report.OneOf_Report? {
        try channel.send(
          Istbpf_Relay_V1_Command.with { ($0.number, $0.stop.ifIdle) = (number, true) })
        return try channel.receive(Istbpf_Relay_V1_Report.self)?.message.report
      }
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      guard case .refused(let refused) = try stop(1) else {
        Issue.record("it was not refused")
        return
      }
      #expect(refused.problem.contains("it carries connections"))
      #expect(try app.connect("$WARP_IST_db", 3212) == "shop/db at 198.18.2.2")
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try cluster[1].relay() == relay)
      #expect(try app.tell("drop", "$WARP_IST_db", 3211) == "closed")
      let isDone = try cluster[1].eventually {
        if case .done? = try stop(2) { true } else { false }
      }
      #expect(isDone)
      // The next one is there before its caller gives up.
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      #expect(try cluster[1].relay() != relay)
    }
  }

  @Test("Without istbpfd a revoked certificate is honoured, and what ended is refused")
  func revoked() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      for number in [1, 2] { cluster[number].killDaemon() }
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      try cluster.revoke("runner2")
      #expect(try cluster[1].eventually { try app.tell("echo", "$WARP_IST_db", 3211) != "ping" })
      #expect(try app.tell("wait", "$WARP_IST_db", 3211) == "EHOSTUNREACH")
    }
  }

  @Test(
    "A relay that is killed is started again; what connects meanwhile waits, what it carried is reset"
  )
  func killed() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, db) = try Self.pair(cluster)
      for number in [1, 2, 1, 2] {
        let port = try #require([1: 3211, 2: 3212][number])
        #expect(try app.tell("hold", "$WARP_IST_db", port) == "shop/db at 198.18.2.2")
        let before = try cluster[number].relay()
        cluster[number].killRelay()
        #expect(try app.connect("$WARP_IST_db", port) == "shop/db at 198.18.2.2")
        #expect(try db.connect("$WARP_IST_app", 3211) == "shop/app at 198.18.1.2")
        #expect(try app.tell("ending", "$WARP_IST_db", port, slowness) == "ECONNRESET")
        #expect(try db.tell("served", port, slowness).contains("ECONNRESET"))
        #expect(try cluster[number].eventually { try cluster[number].relay() != before })
        let status = try cluster[number].istbpf("status")
        #expect(status.output.contains("istbpf-relay "), "\(status.output)")
      }
    }
  }

  @Test("The first connect to a runner finds a tunnel, also after a relay was killed")
  func ready() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      try cluster.deploy("other", "app")
      let app = try cluster.instance(of: "shop/app", on: 1)
      _ = try cluster.instance(of: "other/app", on: 2)
      /// What /metrics of runner 1 says of a series, or of all with this name together.
      func figure(_ name: String) throws -> Int {
        try cluster.get("/metrics", from: 1).split(separator: "\n")
          .filter { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") }
          .reduce(0) { sum, line in sum + (Int(line.split(separator: " ").last ?? "") ?? 0) }
      }
      usleep(2_000_000)
      #expect(try figure("istbpf_tunnels") == 0, "no deployment has instances on both")
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      for isKilled in [false, true, true] {
        if isKilled { cluster[1].killRelay() }
        // Each makes one to the other.
        #expect(try cluster[1].eventually { try figure("istbpf_tunnels") == 2 })
        let before = try figure("istbpf_tunnels_reused_total")
        #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
        #expect(try figure("istbpf_tunnels_reused_total") == before + 1)
      }
    }
  }

  @Test("A relay that was started without istbpfd goes on by what was said last")
  func resumed() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      cluster[1].killDaemon()
      cluster[1].killRelay()
      let relay = try cluster[1].startRelay()
      let works = try cluster[1].eventually {
        try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
      }
      #expect(works, "\(relay.errorText)")
      try cluster[1].startDaemon()
      #expect(relay.isRunning)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
    }
  }

  @Test(
    "A runner that is alone and has no rules has no relay; one for a rule ends with the installation"
  )
  func alone() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      #expect(RelayInstance.running(runner.installation) == nil)
      #expect(try !runner.istbpf("status").output.contains("istbpf-relay"))
      let directory = "/tmp/istbpf-\(UUID())"
      defer { try? FileManager.default.removeItem(atPath: directory) }
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: false)
      try #"{"container": "app", "deployment": {"egress": ["203.0.113.7:443"]}}"#
        .write(toFile: "\(directory)/warp.config.json", atomically: true, encoding: .utf8)
      _ = try runner.instance(of: "shop/app")
      // With the rule, without it, and with it again: a fabric has one relay's socket at a time.
      for arguments in [[directory], ["-s", "app"], [directory]] {
        let declared = try runner.istbpf(["deploy", "-d", "shop"] + arguments)
        try #require(declared.status == 0, "\(declared.errors)")
      }
      #expect(RelayInstance.running(runner.installation) != nil)
      let socket = runner.installation.relaySocketPath
      let other = try run("setpriv", "--reuid", "nobody", "test", "-r", socket)
      #expect(other.status != 0)
    }
  }

  /// An instance of each service on a runner of its own, both of which listen.
  private static func pair(_ cluster: ClusterLaboratory) throws -> (TestInstance, TestInstance) {
    try cluster.deploy("shop", "app", "db")
    let app = try cluster.instance(of: "shop/app", on: 1)
    let db = try cluster.instance(of: "shop/db", on: 2)
    for port in [3211, 3212] { try db.listen(port) }
    try app.listen(3211)
    #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
    return (app, db)
  }
}
