import Foundation
import Logging
import Model
import Registry

/// The registry that runners share, in etcd.
///
/// Reading answers from memory, which a watch keeps up with etcd, and which is also on the disk: while
/// etcd is away, nothing of it changes. Changes are transactions of etcd, which compare what they were
/// computed from and are tried again where another runner came first. What one's own calls changed is
/// seen by one's own next reading.
///
/// This runner's lease keeps its own keys. They are put again when it was lost, or when the keys were
/// deleted; a daemon that stops leaves them to the one that starts next, and to the lease's end.
///
/// Which user of etcd may write what is in `KeySpace`'s table, and with roles in
/// `Documentation/etcd.md`.
public actor EtcdRegistry: SharedRegistry {
  /// Who this runner is, and where etcd is.
  public nonisolated let configuration: EtcdConfiguration

  let client: EtcdClient
  let keys: KeySpace
  let files: StateFiles
  let logger: Logger

  /// What is known of the cluster.
  var mirror: Mirror

  /// What this runner remembers by itself.
  var state: RunnerState

  /// This runner's lease, while it is thought to last.
  var lease: Int64?

  /// Whether something in etcd may differ from `state`, so that it has to be put right.
  var needsReassertion = false

  var condition = ClusterCondition(isCurrent: false)

  /// The revision of the last change made here, which readers wait for.
  var lastWritten: Int64 = 0

  var readers: [UUID: AsyncStream<ClusterView>.Continuation] = [:]
  var lastView: ClusterView?
  var isCacheStale = false
  var isConfirming = false
  /// Runners whose lease had ended and that are back since a moment.
  var returning: Set<String> = []
  var isClosed = false
  var tasks: [Task<Void, Never>] = []
  var confirmation: Task<Void, Never>?

  /// Whether a change is under way, and the changes that wait for their turn.
  var isChanging = false
  var waiting: [CheckedContinuation<Void, Never>] = []

  /// Opens the registry: lists what there is, and takes the runner's name.
  ///
  /// With etcd away, what this runner last knew is served, and the rest is made up for when etcd is
  /// back. Only a runner that never knew anything needs etcd to begin.
  ///
  /// - Throws: `RegistryError`: `.unreachable` where nothing is known either, `.denied`,
  ///   `.runnerNameTaken`, and `.unavailable`, `.unreadable` or `.full` for its files.
  public static func open(
    _ configuration: EtcdConfiguration, logger: Logger
  ) async throws -> EtcdRegistry {
    let registry = try EtcdRegistry(configuration, logger: logger)
    do { try await registry.begin() } catch {
      await registry.close()
      throw error
    }
    return registry
  }

  private init(_ configuration: EtcdConfiguration, logger: Logger) throws {
    for (what, name) in [("cluster", configuration.cluster), ("runner", configuration.runner)]
    where name.isEmpty {
      throw RegistryError.unavailable(file: "etcd", detail: "the \(what) has no name")
    }
    self.configuration = configuration
    self.logger = logger
    keys = KeySpace(cluster: configuration.cluster)
    files = StateFiles(directory: configuration.stateDirectory)
    client = try EtcdClient(configuration)
    state = try files.loadRunner(configuration)
    mirror = Mirror(
      keys: keys, runner: configuration.runner, keepsStale: configuration.keepsStale)
  }

  private func begin() async throws {
    let cache = files.loadCache(of: configuration.cluster)
    if let cache { mirror.restore(cache) }
    updateOwn()
    do {
      try await refresh()
      try await exclusively { registry in try await registry.establish() }
    } catch let error as RegistryError {
      // The name being taken is no outage: two machines would be taken for one.
      if case .runnerNameTaken = error { throw error }
      guard cache != nil else { throw error }
      report(error)
    }
    publish()
    let registry = WeakRegistry(value: self)
    tasks = [
      Task { await Self.follow(registry) }, Task { await Self.keepAlive(registry) },
      Task { await Self.keepCache(registry) },
    ]
  }

  /// Stops; the registry cannot be used after. This runner's keys stay in etcd until its lease ends, so
  /// that a daemon that starts again takes them over.
  public func close() async {
    guard !isClosed else { return }
    isClosed = true
    for task in tasks { task.cancel() }
    confirmation?.cancel()
    await client.close()
    for task in tasks { await task.value }
    tasks = []
    saveCache()
    for reader in readers.values { reader.finish() }
    readers = [:]
  }

  /// Takes this runner out of the cluster at once: its keys go, and then it stops. Instances that
  /// still run keep their numbers.
  ///
  /// - Throws: `RegistryError`; the lease ends by itself then.
  public func leave() async throws {
    // The keys are gone on purpose now: nothing may put them again.
    for task in tasks { task.cancel() }
    let revocation: Result<Void, any Error>
    do {
      if let lease { try await client.revokeLease(lease) }
      revocation = .success(())
    } catch { revocation = .failure(error) }
    await close()
    try revocation.get()
  }
}

/// For tasks that must not keep a registry alive that nobody closed.
struct WeakRegistry: Sendable {
  weak let value: EtcdRegistry?
}
