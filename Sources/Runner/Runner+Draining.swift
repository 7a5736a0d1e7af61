import Model
import Registry

/// A runner that is being emptied, so that it can be taken away or restarted.
extension Runner {
  /// Has this runner take no new instances, and other runners' instances preferred; or ends that.
  ///
  /// Throws `RegistryError`: `.notShared`, `.unknownRunner`, and that the registry cannot be reached; and
  /// `RunnerError.otherRunner`.
  func setDrained(_ isDrained: Bool, named name: String) async throws {
    guard configuration.cluster != nil else { throw RegistryError.notShared }
    guard name == configuration.runnerName else {
      let known = (view?.runners ?? []).map(\.name)
      guard known.contains(name) else { throw RegistryError.unknownRunner(name, known: known) }
      throw RunnerError.otherRunner(named: name, here: configuration.runnerName)
    }
    try await registry.setDrained(isDrained)
    await takeViewOver()
    logger.notice("this runner is \(isDrained ? "drained" : "no longer drained")")
  }

  /// Resets every connection that this runner's instances have, at both ends, and returns how many that were.
  ///
  /// Throws `RunnerError.notDrained` where new ones would come at once.
  func resetConnections() throws -> Int {
    let name = configuration.runnerName
    guard view?.drainedRunners.contains(name) == true else { throw RunnerError.notDrained(name) }
    return instances.reduce(0) { $0 + cutConnections(of: $1) }
  }

  /// Where connections to a service go. With no instance to share them with but those of runners that are being emptied,
  /// this runner's come first.
  func selection(of service: Service) -> InstanceSelection {
    guard selection == .spread, let view else { return selection }
    let drained = view.drainedRunners
    guard !drained.isEmpty else { return .spread }
    let isShared = view.instances.contains {
      $0.deployment == service.deployment && $0.serviceNumber == service.number
        && $0.runner != configuration.runnerName && !drained.contains($0.runner)
    }
    return isShared ? .spread : .localFirst
  }
}
