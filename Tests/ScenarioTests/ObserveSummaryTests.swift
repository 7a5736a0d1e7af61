import ControlAPI
import GRPCCore
import Synchronization
import TestSupport
import Testing

@Suite(
  "Who asks for summaries is told of thousands of connections in a few", .timeLimit(.minutes(10)))
struct ObserveSummaryTests {
  /// What a control socket tells in summaries, 50 ms each, of up to ten connections.
  private final class Summaries: Sendable {
    let told = Mutex<[Istbpf_Control_V1_ObserveResponse]>([])

    var summaries: [Istbpf_Control_V1_Summary] { told.withLock { $0.map(\.summary) } }
    var connections: [Istbpf_Control_V1_ConnectionCount] { summaries.flatMap(\.connections) }
    var events: [Istbpf_Control_V1_Event] { summaries.flatMap(\.events) }
    var untold: UInt64 {
      told.withLock { $0.reduce(0) { $0 + $1.untold.connections } }
        + summaries.reduce(0) { $0 + $1.omitted }
    }

    /// Runs `body` while `runner` is observed.
    static func with(
      _ runner: RunnerLaboratory, ofAllRunners allRunners: Bool = false,
      _ body: (Summaries) throws -> Void
    ) throws {
      let (path, observed) = (runner.installation.controlSocketPath, Summaries())
      let request = Istbpf_Control_V1_ObserveRequest.with {
        ($0.deployment, $0.allRunners) = ("shop", allRunners)
        ($0.denied, $0.opened, $0.closed) = (true, true, true)
        ($0.summaryMilliseconds, $0.summaryConnections) = (50, 10)
      }
      // Apart from tests that hold the threads which all tasks share.
      let observation = Task(executorPreference: BlockingExecutor(threads: 2)) {
        try await ControlClient.connect(to: path) { client in
          try await client.observe(request) { response in
            for try await message in response.messages { observed.add(message) }
          }
        }
      }
      defer { observation.cancel() }
      try #require(runner.eventually { observed.told.withLock { $0.first == .init() } })
      try body(observed)
    }

    private func add(_ message: Istbpf_Control_V1_ObserveResponse) {
      told.withLock { $0.append(message) }
    }
  }

  @Test("All are counted, the newest are shown, and a denial among them comes as soon")
  func flood() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      try Summaries.with(runner) { (observed: Summaries) throws in
        let total = 2000
        #expect(try app.tell("flood", "$WARP_IST_db", 3211, total) == "{\"connected\": \(total)}")
        #expect(try app.connect("192.0.2.1", 80) == "EPERM")
        #expect(
          runner.eventually {
            observed.events.contains { $0.denied.reason == "foreign-address" }
              && observed.connections.reduce(0) { $0 + $1.opened + $1.closed } + observed.untold
                >= UInt64(2 * total)
          })
        let (told, counted) = (observed.summaries, observed.connections)
        #expect(
          counted.reduce(0) { $0 + $1.opened + $1.closed } + observed.untold == UInt64(2 * total))
        #expect(
          counted.allSatisfy {
            $0.local.name == "shop/app.2" && $0.peer.name == "shop/db.2" && !$0.incoming
          }, "\(counted)")
        #expect(told.allSatisfy { $0.connections.count <= 1 && $0.events.count <= 11 })
        #expect(observed.events.contains { $0.peer.port == 3211 && $0.local.port > 0 })
        // Without summaries there would be one for each of the 4,000 events.
        #expect(told.count < 500, "\(told.count) messages")
      }
    }
  }

  @Test("Of all runners each connection is counted once, at its caller's end")
  func allRunners() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      for number in [1, 2] {
        try Summaries.with(cluster[number], ofAllRunners: true) { (observed: Summaries) throws in
          #expect(try app.tell("flood", "$WARP_IST_db", 3211, 20) == #"{"connected": 20}"#)
          #expect(try db.connect("192.0.2.1", 443) == "EPERM")
          #expect(
            cluster[1].eventually {
              observed.connections.reduce(0) { $0 + $1.closed } >= 20
                && observed.told.withLock {
                  $0.contains { $0.runner == "runner2" && $0.summary.events.count == 1 }
                }
            }, "\(observed.told.withLock { $0 })")
          let counted = observed.connections
          #expect(counted.reduce(0) { $0 + $1.opened } == 20, "seen on runner \(number)")
          #expect(counted.reduce(0) { $0 + $1.closed } == 20, "seen on runner \(number)")
          #expect(counted.allSatisfy { $0.local.name == "shop/app.2" && !$0.incoming })
        }
      }
    }
  }
}
