import Foundation
import Glibc
import HandOver
import LinuxSystem
import RelayControl
import Synchronization
import TestSupport
import Testing
import TunnelTestSupport

/// A relay takes another one's place, with its connections; `Scripts/endure` has it done more often.
@Suite("An istbpf-relay passes its connections on to the next one", .timeLimit(.minutes(30)))
struct RelayHandOverTests {
  /// How often: ENDURE_HAND_OVERS, or else a few times.
  private static let times =
    ProcessInfo.processInfo.environment["ENDURE_HAND_OVERS"].flatMap { Int($0) } ?? 6
  /// How many connections exchange bytes meanwhile: ENDURE_HAND_OVER_STREAMS, or else a few.
  private static let streams =
    ProcessInfo.processInfo.environment["ENDURE_HAND_OVER_STREAMS"].flatMap { Int($0) } ?? 12

  @Test("Through hand-overs of either relay no connection breaks, and no new one fails")
  func underLoad() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      #expect(try app.tell("hold", "$WARP_IST_db", 3212) == "shop/db at 198.18.2.2")
      _ = try app.tell("exchange_always", "$WARP_IST_db", 3211, Self.streams)
      _ = try app.tell("load", "$WARP_IST_db", 3211, Self.times * 20, 50 * slowness)
      var processes: Set<Int32> = []
      for turn in 0..<Self.times {
        let runner = cluster[1 + turn % 2]
        let before = try runner.relay()
        let restarted = try runner.istbpf("runner", "restart-relay")
        #expect(restarted.status == 0, "\(restarted.errors)")
        #expect(
          restarted.output.contains("has taken over from pid \(before)"), "\(restarted.output)")
        #expect(try runner.relay() != before)
        processes.insert(before)
        #expect(try app.tell("echo", "$WARP_IST_db", 3212) == "ping")
      }
      #expect(try app.tell("result") == "0 of \(Self.times * 20) failed")
      #expect(try app.tell("exchanged") == "0 of \(Self.streams) failed")
      #expect(try app.tell("echo", "$WARP_IST_db", 3212) == "ping")
      print(
        """
        through \(Self.times) hand-overs the longest exchange of \(Self.streams) connections took \
        \(try app.tell("longest_exchange")) ms, the slowest of \(Self.times * 40) requests \
        \(try app.tell("slowest")) ms; connections stood still for \(try Self.pauses(cluster))
        """)
      // Those that have passed everything on have ended.
      let areGone = cluster[1].eventually(within: 20) {
        processes.allSatisfy { kill($0, 0) != 0 }
      }
      #expect(areGone)
      for number in [1, 2] {
        let status = try cluster[number].istbpf("status")
        #expect(!status.output.contains("has not passed on"), "\(status.output)")
      }
    }
  }

  @Test("After an upgrade istbpfd has its own relay take over at once, and what it carried goes on")
  func upgrade() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      cluster[1].killAll()
      let earlier = "\(cluster.directory)/istbpf-relay"
      // By a process of its own: what is open for writing cannot be executed (ETXTBSY), and this process's children, of
      // other tests, may have its descriptors for a moment.
      try #require(run("cp", Product.istbpfd(), earlier).status == 0)
      let former = try cluster[1].startRelay(earlier)
      let relay = former.processID
      let works = try cluster[1].eventually {
        try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
      }
      #expect(works)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      try cluster[1].startDaemon()
      let isReplaced = cluster[1].eventually(within: 20) {
        (try? cluster[1].relay()).map { $0 != relay } ?? false
      }
      #expect(isReplaced)
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      #expect(cluster[1].eventually(within: 20) { !former.isRunning })
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      let isTold = cluster[1].logs("another istbpf-relay has taken over")
      let log = try #require(cluster[1].daemon).log
      #expect(isTold, "\(log)")
      #expect(!log.contains("istbpf-relay has ended"), "\(log)")
    }
  }

  @Test("A relay whose place nobody takes goes on as before")
  func notTaken() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, db) = try Self.pair(cluster)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      let relay = try cluster[1].relay()
      let taking = try Self.askToLeave(cluster[1])
      #expect(UnixSocket.listener(at: cluster[1].installation.relaySocketPath) == nil)
      taking.end()
      let isBack = cluster[1].eventually { (try? cluster[1].relay()) == relay }
      #expect(isBack)
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try app.tell("wait", "$WARP_IST_db", 3212) == "shop/db at 198.18.2.2")
      // On a tunnel that is made anew.
      cluster[2].killRelay()
      #expect(try db.tell("wait", "$WARP_IST_app", 3211) == "shop/app at 198.18.1.2")
      #expect(try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
    }
  }

  @Test(
    "A relay of another version takes what is new, and the one before carries what it has to its end"
  )
  func otherVersion() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, db) = try Self.pair(cluster)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      let former = try ProcessHandle(try cluster[1].relay())
      // It would go on telling the one before, since it has not started another.
      cluster[1].killDaemon()
      let taking = try Self.askToLeave(cluster[1])
      _ = try taking.receive(Istbpf_Handover_V1_Hello.self)
      try taking.send(Istbpf_Handover_V1_Hello.with { $0.version = handOverVersion + 1 })
      let batch = try taking.receive(Istbpf_Handover_V1_Batch.self)
      #expect(batch == nil)
      _ = try cluster[1].startRelay()

      // Refused until it listens: with an istbpfd, which passes the sockets on, they wait.
      let isServed = try cluster[1].eventually {
        try app.connect("$WARP_IST_db", 3212) == "shop/db at 198.18.2.2"
      }
      #expect(isServed)
      #expect(try db.tell("wait", "$WARP_IST_app", 3211) == "shop/app at 198.18.1.2")
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(!former.hasEnded)
      #expect(try cluster[1].relay() != former.processID)
      let log = try String(contentsOfFile: cluster[1].installation.relayLogPath, encoding: .utf8)
      #expect(log.contains("has version 2 of what is passed on, and this one"), "\(log)")
      try cluster[1].startDaemon()
      let status = try cluster[1].istbpf("status").output
      #expect(status.contains("pid \(former.processID) carries on"), "\(status)")
      #expect(try app.tell("drop", "$WARP_IST_db", 3211) == "closed")
      #expect(cluster[1].eventually(within: 20) { former.hasEnded })
      #expect(try !cluster[1].istbpf("status").output.contains("carries on"))
      #expect(try app.connect("$WARP_IST_db", 3212) == "shop/db at 198.18.2.2")
    }
  }

  /// Asks a runner's relay to leave its place, as istbpfd does; returns the end of the channel that the next one has.
  private static func askToLeave(_ runner: RunnerLaboratory) throws -> HandOverChannel {
    guard let socket = UnixSocket.connected(to: runner.installation.relaySocketPath) else {
      throw SystemError(.last, "connect to", runner.installation.relaySocketPath)
    }
    let channel = try DescriptorChannel(socket)
    let (giving, taking) = try HandOverChannel.pair()
    try channel.send(
      Istbpf_Relay_V1_Command.with { ($0.number, $0.handOver) = (1, .init()) },
      with: giving.descriptor)
    let report = try channel.receive(Istbpf_Relay_V1_Report.self)?.message.report
    #expect(report == .done(.init()))
    return taking
  }

  @Test(
    "Where the next one does not start, the one before goes on, and knows what was told meanwhile")
  func failedStart() async throws {
    try await ClusterLaboratory.with { cluster in
      let (app, _) = try Self.pair(cluster)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      let relay = try cluster[1].relay()
      // Somebody else takes its lock for a second, as soon as it has left that.
      let lock = try OwnedDescriptor(
        opening: cluster[1].installation.relayLockPath, flags: O_RDWR)
      let number = lock.rawValue
      let thief = Thread {
        while flock(number, LOCK_EX | LOCK_NB) != 0 { usleep(200) }
        sleep(1)
        flock(number, LOCK_UN)
      }
      thief.start()
      let outcome = Mutex<CommandResult?>(nil)
      try concurrently(
        {
          let result = try cluster[1].istbpf("runner", "restart-relay")
          outcome.withLock { $0 = result }
        },
        {
          usleep(300_000)
          try cluster.deploy("shop", "app", "db", "cache")
        })
      let restarted = try #require(outcome.withLock { $0 })
      #expect(
        restarted.status != 0 && restarted.errors.contains("it has ended at once"), "\(restarted)")
      #expect(cluster[1].eventually(within: 20) { (try? cluster[1].relay()) == relay })
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try app.tell("wait", "$WARP_IST_db", 3212) == "shop/db at 198.18.2.2")
      let cache = try cluster.instance(of: "shop/cache", on: 2)
      try cache.listen(3211)
      let late = try cluster.instance(of: "shop/app", on: 1)
      #expect(try late.tell("wait", "$WARP_IST_cache", 3211).hasPrefix("shop/cache at "))
      // And it can be restarted then.
      let again = try cluster[1].istbpf("runner", "restart-relay")
      #expect(again.status == 0, "\(again.errors)")
      #expect(try cluster[1].relay() != relay)
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      _ = consume lock
    }
  }

  /// How long connections stood still, by what the relays say.
  private static func pauses(_ cluster: ClusterLaboratory) throws -> String {
    let lines = try [1, 2].flatMap { number in
      try String(contentsOfFile: cluster[number].installation.relayLogPath, encoding: .utf8)
        .matches(of: #/for ([0-9.]+) ms in the median, and for ([0-9.]+) ms at the most/#)
        .compactMap { match in
          Double(match.output.1).flatMap { median in Double(match.output.2).map { (median, $0) } }
        }
    }
    let medians = lines.map(\.0).sorted()
    let median = try #require(medians.isEmpty ? nil : medians[medians.count / 2])
    let most = lines.map(\.1).max() ?? 0
    return "\(median) ms in the median, \(most) ms at the most (\(lines.count) hand-overs)"
  }

  /// An instance of each service on a runner of its own, both of which listen.
  private static func pair(_ cluster: ClusterLaboratory) throws -> (TestInstance, TestInstance) {
    try cluster.deploy("shop", "app", "db")
    let app = try cluster.instance(of: "shop/app", on: 1)
    let db = try cluster.instance(of: "shop/db", on: 2)
    for port in [3211, 3212] { try db.listen(port) }
    try app.listen(3211)
    let first = try app.connect("$WARP_IST_db", 3211)
    #expect(first == "shop/db at 198.18.2.2")
    return (app, db)
  }
}
