import ControlAPI
import Model
import Synchronization

/// What somebody observes on this runner and on those that serve the same deployments.
final class ClusterObservation: Observing {
  private let request: Istbpf_Control_V1_ObserveRequest
  private let runner: Runner
  private let local: LocalObservation
  private let messages: AsyncStream<Istbpf_Control_V1_ObserveResponse>
  private let continuation: AsyncStream<Istbpf_Control_V1_ObserveResponse>.Continuation
  private let state = Mutex(State())

  private struct State {
    /// Those that are asked now.
    var asked: Set<PeerPlace> = []
    /// Those of them that tell.
    var telling: Set<PeerPlace> = []
    /// Runners of which it was said that they do not.
    var silent: Set<String> = []
    /// Messages for which the observer was too slow.
    var lost: UInt64 = 0
  }

  /// Messages that wait for the observer at most.
  private static let capacity = 4096
  /// How often it is looked which runners there are, and how long one that broke off is left alone.
  private static let interval = Duration.seconds(2)
  /// How long the others may take to begin before the observer is told that it sees everything.
  private static let patience = Duration.seconds(3)

  /// What `request` asks for. Throws as `LocalObservation` does.
  init(_ request: Istbpf_Control_V1_ObserveRequest, of runner: Runner) async throws {
    var request = request
    request.allRunners = false
    (self.request, self.runner) = (request, runner)
    local = try await LocalObservation(request, of: runner)
    (messages, continuation) = AsyncStream.makeStream(
      bufferingPolicy: .bufferingNewest(Self.capacity))
  }

  func end() {
    local.end()
    continuation.finish()
  }

  func follow(
    _ take: @Sendable (Istbpf_Control_V1_ObserveResponse) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup { group in
      group.addTask { [self] in
        // What ends this runner's part ends all, and its error is the observer's.
        defer { continuation.finish() }
        try await local.follow { message in
          if message != .init() { offer(message, from: runner.configuration.runnerName) }
        }
      }
      group.addTask { [self] in await followOthers() }
      for await message in messages {
        let lost = state.withLock { state in
          defer { state.lost = 0 }
          return state.lost
        }
        if lost > 0 { try await take(.with { $0.lost = lost }) }
        try await take(message)
      }
      group.cancelAll()
      try await group.waitForAll()
    }
  }

  private func followOthers() async {
    await withDiscardingTaskGroup { group in
      group.addTask { [self] in await begin() }
      while !Task.isCancelled {
        let places = (try? await runner.others(serving: deployment)) ?? []
        for place in places {
          let isNew = state.withLock { $0.asked.insert(place).inserted }
          if isNew { group.addTask { [self] in await follow(place) } }
        }
        try? await Task.sleep(for: Self.interval)
      }
      group.cancelAll()
    }
  }

  private var deployment: DeploymentName? { try? DeploymentName(request.deployment) }

  /// Says that nothing is missed from now on, once those that are there tell or have said why not.
  private func begin() async {
    let start = ContinuousClock.now
    let places = Set((try? await runner.others(serving: deployment)) ?? [])
    while ContinuousClock.now - start < Self.patience, !Task.isCancelled {
      let isSettled = state.withLock { state in
        places.allSatisfy { state.telling.contains($0) || state.silent.contains($0.runner) }
      }
      if isSettled { break }
      try? await Task.sleep(for: .milliseconds(10))
    }
    continuation.yield(.init())
  }

  /// Follows one runner until it breaks off.
  private func follow(_ place: PeerPlace) async {
    do {
      guard let questions = await runner.questions else {
        throw UnansweredQuestion(description: "istbpfd has only begun to start")
      }
      try await questions.ask(
        .with { $0.observe = request }, of: place.runner, about: place.deployment
      ) { answer in
        guard case .observed(let message) = answer.answer else { return }
        if message != .init() { return offer(message, from: place.runner) }
        state.withLock { state in
          state.telling.insert(place)
          state.silent.remove(place.runner)
        }
      }
      throw UnansweredQuestion(description: "it has ended meanwhile")
    } catch {
      state.withLock { _ = $0.telling.remove(place) }
      guard !Task.isCancelled else { return }
      let isNews = state.withLock { $0.silent.insert(place.runner).inserted }
      if isNews {
        continuation.yield(
          .with {
            $0.silent.runner = place.runner
            $0.silent.problem = "\(error)"
          })
      }
      try? await Task.sleep(for: Self.interval)
    }
    state.withLock { _ = $0.asked.remove(place) }
  }

  /// A connection between two runners that both tell is shown once: from the caller's end.
  private func offer(_ message: Istbpf_Control_V1_ObserveResponse, from name: String) {
    var message = message
    switch message.message {
    case .event(let event): if isToldByCaller(event, unless: name) { return }
    case .summary(var summary):
      summary.events.removeAll { isToldByCaller($0, unless: name) }
      summary.connections.removeAll { isToldByCaller($0.peer, $0.incoming, unless: name) }
      // A summary of what is all told elsewhere says nothing.
      if summary == .init() { return }
      message.summary = summary
    default: break
    }
    message.runner = name
    if case .dropped = continuation.yield(message) { state.withLock { $0.lost += 1 } }
  }

  private func isToldByCaller(_ event: Istbpf_Control_V1_Event, unless name: String) -> Bool {
    if case .denied = event.kind { return false }
    return isToldByCaller(event.peer, event.incoming, unless: name)
  }

  private func isToldByCaller(
    _ peer: Istbpf_Control_V1_Endpoint, _ isIncoming: Bool, unless name: String
  ) -> Bool {
    guard isIncoming, let address = IPv4Address(peer.address),
      let deployment = peer.name.split(separator: "/").first
        .flatMap({ try? DeploymentName(String($0)) }),
      let other = runner.directory?.runner(of: address, in: deployment), other != name
    else { return false }
    return other == runner.configuration.runnerName
      || state.withLock {
        $0.telling.contains(PeerPlace(runner: other, deployment: deployment))
      }
  }
}
