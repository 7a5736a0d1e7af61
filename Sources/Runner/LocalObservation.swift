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
  private let naming: EventNaming
  private let subscription: EventSubscription

  /// What `request` asks for. Throws `RegistryError` where it names what is not declared, and `DataplaneError`.
  init(_ request: Istbpf_Control_V1_ObserveRequest, of runner: Runner) async throws {
    let filter = try await runner.filter(of: request)
    naming = try EventNaming(
      pinnedIn: runner.configuration.installation.pinDirectory,
      plan: runner.configuration.plan, outside: runner.outside)
    subscription = runner.feed.subscribe(filter)
  }

  func follow(
    _ take: @Sendable (Istbpf_Control_V1_ObserveResponse) async throws -> Void
  ) async throws {
    var naming = naming
    try await take(.init())
    for await told in subscription.told {
      let lost = subscription.takeLost()
      if lost > 0 { try await take(.with { $0.lost = lost }) }
      try await take(try naming.message(told))
    }
  }

  func end() { subscription.end() }
}
