import Foundation
import GRPCCore
import Model
import Registry

/// A transaction found that another came first.
struct Conflict: Error {}

extension EtcdRegistry {
  /// Does `body` while no other change of this runner's is under way: they would only be in each
  /// other's way in etcd.
  func exclusively<Result: Sendable>(
    _ body: (isolated EtcdRegistry) async throws -> Result
  ) async throws -> Result {
    if isChanging {
      await withCheckedContinuation { waiting.append($0) }
    } else {
      isChanging = true
    }
    defer {
      if waiting.isEmpty { isChanging = false } else { waiting.removeFirst().resume() }
    }
    try Task.checkCancellation()
    return try await body(self)
  }

  /// Does `body` again while it meets a conflict, a lost lease or, once, a server that fails.
  ///
  /// A server may have done what it did not answer: `body` has to look whether it is done.
  func retrying<Result: Sendable>(
    _ what: String, _ body: (isolated EtcdRegistry) async throws -> Result
  ) async throws -> Result {
    let deadline = ContinuousClock.now + .seconds(10)
    var pause = 0.002
    var failures = 0
    while true {
      do {
        return try await body(self)
      } catch is Conflict {
        guard ContinuousClock.now < deadline else { throw RegistryError.contended(what: what) }
      } catch let error as RPCError where error.isOfLease {
        lease = nil
        guard ContinuousClock.now < deadline else { throw RegistryError.contended(what: what) }
      } catch let error as RegistryError {
        guard case .unreachable = error else { throw error }
        failures += 1
        guard failures < 2, ContinuousClock.now < deadline else {
          needsReassertion = true
          throw error
        }
      } catch let error as RPCError {
        throw error.registryError(client.urls)
      }
      try await Task.sleep(for: .seconds(.random(in: pause / 2...pause)))
      pause = min(pause * 2, 0.2)
    }
  }

  /// Commits, and lets readers wait for it.
  ///
  /// - Throws: `Conflict`.
  @discardableResult
  func commit(_ transaction: Transaction) async throws -> Int64 {
    guard let revision = try await client.commit(transaction) else { throw Conflict() }
    lastWritten = max(lastWritten, revision)
    return revision
  }

  /// A record, and the revision at which it was last changed: 0 if there is none.
  func read<R: Record>(_ type: R.Type = R.self, _ key: Data) async throws -> (R?, Int64) {
    guard let value = try await client.get(key).value else { return (nil, 0) }
    return (try decode(value), value.modRevision)
  }

  /// The record of a key.
  ///
  /// - Throws: `RegistryError.unreadable`, so that nothing is written over it.
  func decode<R: Record>(_ value: Mvccpb_KeyValue) throws -> R {
    do { return try RecordCoding.decode(from: value.value) } catch let error as UnreadableRecord {
      throw RegistryError.unreadable(
        key: String(decoding: value.key, as: UTF8.self), detail: error.detail)
    }
  }

  /// Changes what this runner remembers; it is on the disk when this returns, or nothing changed.
  func save(_ change: (inout RunnerState) -> Void) throws {
    var new = state
    change(&new)
    guard new != state else { return }
    try files.runner.save(new)
    state = new
    updateOwn()
  }

  /// Tells the mirror which instances are this runner's.
  func updateOwn() {
    let instances = state.instances.filter { !$0.isEnded }.map(\.instance)
    mirror.own = Dictionary(uniqueKeysWithValues: instances.map { (keys.key($0), $0) })
  }
}
