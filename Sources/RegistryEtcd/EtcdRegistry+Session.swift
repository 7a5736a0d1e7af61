import Foundation
import GRPCCore
import Model
import Registry

extension EtcdRegistry {
  /// This runner's lease, made if there is none.
  func establishedLease() async throws -> Int64 {
    if lease == nil { try await establish() }
    guard let lease else { throw Conflict() }
    return lease
  }

  /// Makes a lease, takes the runner's name with it, and puts right what etcd has of this runner.
  func establish() async throws {
    let new = try await client.grantLease(seconds: configuration.leaseSeconds)
    do { try await takeName(lease: new) } catch {
      // Or it runs out by itself.
      try? await client.revokeLease(new)
      throw error
    }
    // From here on this runner's keys move to the new lease, so it is kept whatever comes.
    lease = new
    needsReassertion = true
    try await reassert(lease: new)
    logger.debug("lease \(String(new, radix: 16))")
  }

  /// Puts who this runner is; it must be the only one of its name.
  func takeName(lease: Int64) async throws {
    let key = keys.key(.runner(configuration.runner))
    let record = RunnerRecord(
      owner: state.owner, address: configuration.address, version: configuration.version,
      isDrained: state.isDrained)
    try await retrying("runner \(quoted(configuration.runner))") { registry in
      let (found, revision) = try await registry.read(RunnerRecord.self, key)
      if let found, found.owner != registry.state.owner {
        throw RegistryError.runnerNameTaken(
          registry.configuration.runner, address: found.address)
      }
      var transaction = Transaction()
      transaction.expect(key, changedAt: revision)
      transaction.put(key, try RecordCoding.encode(record), lease: lease)
      try await registry.commit(transaction)
    }
  }

  /// Prolongs the lease until the task ends, and makes a new one when it was lost.
  static func keepAlive(_ registry: WeakRegistry) async {
    while !Task.isCancelled {
      guard let delay = await registry.value?.prolong() else { return }
      try? await Task.sleep(for: delay)
    }
  }

  /// Does what the lease needs now. Returns how long it has time after that.
  private func prolong() async -> Duration {
    guard !isClosed else { return .zero }
    do {
      if let current = lease, try await client.keepLease(current) == nil, lease == current {
        logger.warning("the lease was lost: this runner's keys are put again")
        lease = nil
      }
      if lease == nil || needsReassertion || lacksOwn {
        try await exclusively { registry in
          if registry.lease == nil || registry.needsReassertion || registry.lacksOwn {
            try await registry.establish()
          }
        }
      }
      if condition.isCurrent { report(nil) }
      return .milliseconds(configuration.leaseSeconds * 1000 / 3)
    } catch is CancellationError {
      return .zero
    } catch {
      guard !Task.isCancelled else { return .zero }
      report(error as? RegistryError ?? .unavailable(file: "etcd", detail: "\(error)"))
      return min(configuration.retryDelay.upperBound, .seconds(1))
    }
  }

  /// Whether somebody deleted a key of this runner's; not while the mirror is behind its own changes.
  private var lacksOwn: Bool {
    condition.isCurrent && mirror.revision >= lastWritten && mirror.lacksOwn
  }

  /// Puts this runner's keys again if somebody deleted them.
  func reassertIfNeeded() {
    guard lease != nil, lacksOwn, !isChanging, !needsReassertion, !isClosed else { return }
    needsReassertion = true
    Task { _ = await self.prolong() }
  }
}
