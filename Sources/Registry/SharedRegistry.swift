/// A registry that tells of what changes in it, on whichever runner.
///
/// Where the registry is on the network, reading answers from the last known state, so that what runs
/// goes on while it cannot be reached; only changes need it.
public protocol SharedRegistry: Registry {
  /// The state as it is known now, and then again whenever it changed. A reader that is slow gets the
  /// latest and not every one. The stream ends when the registry is closed.
  func views() async -> AsyncStream<ClusterView>

  /// Says that instances which vanished all at once, and are still shown, are gone indeed
  /// (`ClusterCondition.heldLoss`). Returns how many were held.
  @discardableResult
  func confirmLoss() async -> Int

  /// Says that the instances of a runner whose lease ended, which are shown still (`ClusterCondition.staleRunners`), are
  /// gone indeed.
  func giveUp(_ runner: String) async

  /// How many instance numbers each runner has, those included that are gone.
  func numbersByRunner() async -> [String: Int]

  /// Gives the numbers back of a runner that is gone for ever.
  ///
  /// A runner that is only cut off keeps its numbers, however long; so this has to be said by somebody
  /// who knows that nothing runs there any more.
  ///
  /// - Returns: how many numbers it had.
  /// - Throws: `RegistryError.runnerIsThere` if it is, or this is it; `.notShared`.
  @discardableResult
  func forgetRunner(_ name: String) async throws -> Int

  /// Says whether this runner is being emptied: it takes no new instance then (`RegistryError.runnerIsDrained`), and others
  /// prefer the instances of other runners. It lasts until the opposite is said, whatever is started anew meanwhile.
  ///
  /// - Throws: `RegistryError.notShared`, and that the registry cannot be reached; then nothing has changed.
  func setDrained(_ isDrained: Bool) async throws
}

extension SharedRegistry {
  /// Nothing, where nothing is ever held.
  public func confirmLoss() async -> Int { 0 }

  /// Nothing, where there is no other runner.
  public func giveUp(_ runner: String) async {}

  /// None, where there is no other runner.
  public func numbersByRunner() async -> [String: Int] { [:] }

  /// Refused, where there is no other runner.
  public func forgetRunner(_ name: String) async throws -> Int { throw RegistryError.notShared }

  /// Refused, where there is no other runner.
  public func setDrained(_ isDrained: Bool) async throws { throw RegistryError.notShared }
}
