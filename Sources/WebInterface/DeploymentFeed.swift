import ControlAPI
import GRPCCore

/// What pages that show one deployment are told: asked of istbpfd once for all of them, and only while there is one.
///
/// A page that reads too slowly loses messages, and is told how many; it holds up neither the others nor istbpfd.
actor DeploymentFeed {
  /// How many messages wait for one page at most.
  private static let capacity = 64
  /// Milliseconds from one message with events to the next, at least, and from one summary of a runner's to the next.
  private static let interval = 200
  /// How many connections that open or close a runner tells one by one in that time: no more can be read.
  private static let connections = 40

  private struct Page {
    let continuation: AsyncStream<PageMessage>.Continuation
    var lost = 0
  }

  private let deployment: String
  private let socketPath: String
  private var pages: [Int: Page] = [:]
  private var nextID = 0
  private var following: Task<Void, Never>?
  private var waiting = Happenings()
  private var lastHistory, lastStatus, lastTraffic, lastProblem: PageMessage?

  init(of deployment: String, socketPath: String) {
    (self.deployment, self.socketPath) = (deployment, socketPath)
  }

  /// How many pages show it now.
  var pageCount: Int { pages.count }

  /// A page's messages, until it reads no more.
  func messages() -> AsyncStream<PageMessage> {
    let id = nextID
    nextID += 1
    let (stream, continuation) = AsyncStream<PageMessage>.makeStream(
      bufferingPolicy: .bufferingNewest(Self.capacity))
    continuation.onTermination = { [weak self] _ in
      Task { [weak self] in await self?.remove(id) }
    }
    pages[id] = Page(continuation: continuation)
    // A page that comes later has at once what the others have.
    let first = [lastHistory, lastStatus, lastTraffic, lastProblem]
    for message in first.compactMap(\.self) { continuation.yield(message) }
    if following == nil { following = Task { await follow() } }
    return stream
  }

  private func remove(_ id: Int) {
    pages[id] = nil
    guard pages.isEmpty else { return }
    following?.cancel()
    following = nil
    (lastHistory, lastStatus, lastTraffic, lastProblem) = (nil, nil, nil, nil)
  }

  private func send(_ message: PageMessage) {
    for id in pages.keys {
      if case .dropped = pages[id]?.continuation.yield(message) { pages[id]?.lost += 1 }
    }
  }

  // MARK: - istbpfd

  private func follow() async {
    while !Task.isCancelled {
      do {
        try await ControlClient.connect(to: socketPath) { [self] client in
          try await follow(client)
        }
      } catch {
        if Task.isCancelled { return }
        report("\(error)")
      }
      // It is cancelled where nobody looks any more, which the loop sees.
      try? await Task.sleep(for: .seconds(1))
    }
  }

  private func report(_ problem: String) {
    // A string is always JSON.
    guard let message = try? PageMessage.problem(problem) else { return }
    if message.text != lastProblem?.text { send(message) }
    lastProblem = message
  }

  private func follow(_ client: ControlClient.Client) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.observe(client) }
      group.addTask { try await self.ask(client) }
      group.addTask { try await self.flush() }
      _ = try await group.next()
      group.cancelAll()
    }
  }

  private struct DaemonEnded: Error, CustomStringConvertible {
    let description = "istbpfd has ended meanwhile"
  }

  private func observe(_ client: ControlClient.Client) async throws {
    let request = Istbpf_Control_V1_ObserveRequest.with {
      $0.deployment = deployment
      ($0.denied, $0.opened, $0.closed, $0.allRunners) = (true, true, true, true)
      $0.summaryMilliseconds = UInt32(Self.interval)
      $0.summaryConnections = UInt32(Self.connections)
    }
    try await client.observe(request) { response in
      for try await message in response.messages { await self.add(message) }
    }
    throw DaemonEnded()
  }

  private func add(_ message: Istbpf_Control_V1_ObserveResponse) {
    switch message.message {
    case .summary(let summary): waiting.add(summary)
    // A runner of an earlier version.
    case .event(let event): waiting.add(Istbpf_Control_V1_Summary(of: event))
    case .untold(let untold): waiting.omitted += untold.denials + untold.connections
    case .lost(let lost): waiting.omitted += lost
    // The status says so as well.
    case .silent: break
    case nil: report("")
    }
  }

  /// Asks for what is there now, more often for what changes more often.
  private func ask(_ client: ControlClient.Client) async throws {
    for turn in 0... {
      if turn.isMultiple(of: 10) {
        let message = try PageMessage.history(
          try await client.getHistory(.with { $0.deployment = deployment }))
        if message.text != lastHistory?.text { send(message) }
        lastHistory = message
      }
      if turn.isMultiple(of: 2) {
        let message = try PageMessage.status(
          try await client.getStatus(
            .with { ($0.allRunners, $0.deployment) = (true, deployment) }))
        if message.text != lastStatus?.text { send(message) }
        lastStatus = message
      }
      let message = try PageMessage.traffic(
        try await client.getTraffic(
          .with { ($0.deployment, $0.allRunners) = (deployment, true) }))
      lastTraffic = message
      send(message)
      try await Task.sleep(for: .seconds(1))
    }
  }

  private func flush() async throws {
    while true {
      try await Task.sleep(for: .milliseconds(Self.interval))
      if waiting != Happenings() {
        let message = try PageMessage.events(waiting)
        waiting = Happenings()
        send(message)
      }
      for (id, page) in pages where page.lost > 0 {
        pages[id]?.lost = 0
        page.continuation.yield(.lost(page.lost))
      }
    }
  }
}
