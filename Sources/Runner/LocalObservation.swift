import ControlAPI
import Dataplane

/// What somebody observes.
protocol Observing: Sendable {
  /// Hands each message to `take` until the observation ends. The first one is empty: from there on nothing is missed.
  func follow(
    _ take: @Sendable (Istbpf_Control_V1_ObserveResponse) async throws -> Void
  ) async throws

  /// Ends it; what waits is still handed over.
  func end()
}

/// What somebody observes on this runner.
struct LocalObservation: Observing {
  private enum Subscription {
    case events(EventSubscription)
    case summaries(SummarySubscription, every: Duration)
  }

  private let naming: EventNaming
  private let subscription: Subscription

  /// What `request` asks for. Throws `RegistryError` where it names what is not declared, and `DataplaneError`.
  init(_ request: Istbpf_Control_V1_ObserveRequest, of runner: Runner) async throws {
    let filter = try await runner.filter(of: request)
    naming = try EventNaming(
      pinnedIn: runner.configuration.installation.pinDirectory,
      plan: runner.configuration.plan, outside: runner.outside)
    if request.summaryMilliseconds == 0 {
      subscription = .events(runner.feed.subscribe(filter))
    } else {
      // What another runner asks for has the same bounds.
      subscription = .summaries(
        runner.feed.subscribe(filter, keeping: Int(min(request.summaryConnections, 1000))),
        every: .milliseconds(min(max(request.summaryMilliseconds, 10), 1000)))
    }
  }

  func follow(
    _ take: @Sendable (Istbpf_Control_V1_ObserveResponse) async throws -> Void
  ) async throws {
    var naming = naming
    try await take(.init())
    switch subscription {
    case .events(let subscription):
      for await told in subscription.told {
        let lost = subscription.takeLost()
        if lost > 0 { try await take(.with { $0.lost = lost }) }
        try await take(try naming.message(told))
      }
    case .summaries(let subscription, let interval):
      for await _ in subscription.due {
        try await Task.sleep(for: interval)
        for message in try naming.messages(subscription.take()) { try await take(message) }
      }
    }
  }

  func end() {
    switch subscription {
    case .events(let subscription): subscription.end()
    case .summaries(let subscription, _): subscription.end()
    }
  }
}
