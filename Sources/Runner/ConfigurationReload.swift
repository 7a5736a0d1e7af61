import Logging
import ServiceLog
import Model
import RelayControl
import ServiceLifecycle
import UnixSignals

/// Reads the configuration again on SIGHUP, takes over what can be taken over without interrupting anything, and
/// names what needs a restart. One that is wrong changes nothing.
struct ConfigurationReload: ServiceLifecycle.Service {
  let initial: RunnerConfiguration
  /// Reads it as it was read at the start.
  let reread: @Sendable () async throws -> RunnerConfiguration
  let runner: Runner
  let threshold: LogThreshold
  let logger: Logger

  func run() async throws {
    let signals = await UnixSignalsSequence(trapping: .sighup)
    var values = initial.values
    for await _ in signals.cancelOnGracefulShutdown() {
      do {
        values = try await take(try await reread(), over: values)
      } catch {
        logger.error("the configuration is not taken over, and nothing has changed: \(error)")
      }
    }
  }

  /// Takes over what differs from `values`; returns the values that are in effect then.
  private func take(
    _ new: RunnerConfiguration, over values: [String: String]
  ) async throws -> [String: String] {
    let changed = ConfigurationKeys.all.filter { new.values[$0.name] != values[$0.name] }
    let taken = changed.filter { $0.effect == .reload && isInUse($0, new) }
    // First what may be refused.
    if let cluster = new.cluster, taken.contains(where: { $0.name.hasPrefix("tunnel.") }) {
      try runner.relay.tell(Istbpf_Relay_V1_IdentityFiles(cluster.files))
    }
    if taken.contains(where: { $0.name == "selection" }) {
      await runner.select(new.cluster?.selection ?? .localFirst)
    }
    threshold.level = new.logLevel
    if taken.contains(where: { $0.name == "logLevel" }) { try runner.relay.tell(new.logLevel) }

    func names(_ keys: [ConfigurationKey]) -> String { keys.map(\.name).joined(separator: ", ") }
    if !taken.isEmpty { logger.notice("took over from the configuration: \(names(taken))") }
    let later = changed.filter { !taken.contains($0) && $0.effect != .container }
    if !later.isEmpty { logger.warning("a restart of istbpfd is needed for: \(names(later))") }
    let containers = changed.filter { $0.effect == .container }
    if !containers.isEmpty {
      logger.notice("containers that start from now on have: \(names(containers))")
    }
    if changed.isEmpty { logger.notice("the configuration says what it said: nothing has changed") }

    var values = values
    for key in taken + containers { values[key.name] = new.values[key.name] }
    return values
  }

  /// Whether this daemon has what the key is for: a runner that is alone has no tunnels.
  private func isInUse(_ key: ConfigurationKey, _ new: RunnerConfiguration) -> Bool {
    let isOfCluster = key.name.hasPrefix("tunnel.") || key.name == "selection"
    return !isOfCluster || (initial.cluster != nil && new.cluster != nil)
  }
}

extension Runner {
  /// Has connections go to other instances from now on, those that will be made. What the kernel does not take
  /// is tried again, see `apply`.
  func select(_ selection: InstanceSelection) async {
    self.selection = selection
    do {
      for deployment in try await registry.deployments() {
        for service in try await registry.services(of: deployment.name) {
          // Which notes what the kernel does not take.
          try? publish(service, of: deployment)
        }
      }
    } catch {
      logger.error("the selection of instances is not in effect everywhere: \(error)")
    }
  }
}
