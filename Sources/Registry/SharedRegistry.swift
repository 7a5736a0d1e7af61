/// A registry that tells of what changes in it, on whichever runner.
///
/// Where the registry is on the network, reading answers from the last known state, so that what runs
/// goes on while it cannot be reached; only changes need it.
public protocol SharedRegistry: Registry {
  /// The state as it is known now, and then again whenever it changed. A reader that is slow gets the
  /// latest and not every one. The stream ends when the registry is closed.
  func views() async -> AsyncStream<ClusterView>

  /// Says that instances which vanished all at once, and are still shown, are gone indeed
  /// (`ClusterCondition.heldLoss`).
  func confirmLoss() async
}

extension SharedRegistry {
  /// Nothing, where nothing is ever held.
  public func confirmLoss() async {}
}
