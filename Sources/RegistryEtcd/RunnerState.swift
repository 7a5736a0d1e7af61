import Foundation
import Model
import Registry

/// What a runner has to remember by itself, in its state directory.
struct RunnerState: Record {
  /// An instance of this runner.
  struct Own: Codable, Hashable, Sendable {
    var instance: Instance
    var token: String
    /// It has ended here, and etcd is still to be told.
    var isEnded = false
  }

  var cluster: String
  var runner: String
  /// Made once: what tells this runner from another with its name.
  var owner = UUID().uuidString
  var ids = DeploymentIDs()
  /// Its instances; with the lease lost, or with etcd's data, they are put there again from here.
  var instances: [Own] = []
  /// Whether it is being emptied; left out where it is not, as by an istbpf that knows none.
  var isDrained: Bool?

  init(cluster: String, runner: String) {
    self.cluster = cluster
    self.runner = runner
  }
}

/// The last state of the cluster that was known.
struct CachedState: Record {
  var cluster: String
  var services: [Service]
  var instances: [Instance]
  var runners: [ClusterRunner]
}

/// The files of a runner's state directory.
struct StateFiles: Sendable {
  let runner: RecordFile<RunnerState>
  let cache: RecordFile<CachedState>

  init(directory: String) {
    runner = RecordFile(path: directory + "/etcd-runner.json")
    cache = RecordFile(path: directory + "/etcd-cache.json")
  }

  /// What was remembered for the runner that `configuration` names, or a new beginning.
  func loadRunner(_ configuration: EtcdConfiguration) throws -> RunnerState {
    guard var state = try runner.load() else {
      let state = RunnerState(cluster: configuration.cluster, runner: configuration.runner)
      try runner.save(state)
      return state
    }
    if state.cluster.isSame(as: configuration.cluster),
      state.runner.isSame(as: configuration.runner)
    {
      return state
    }
    guard state.instances.allSatisfy(\.isEnded) else {
      throw RegistryError.unavailable(
        file: runner.path,
        detail:
          "it is of runner \(quoted(state.runner)) of cluster \(quoted(state.cluster)), which "
          + "has instances: stop them before the runner gets another name or cluster")
    }
    state.cluster = configuration.cluster
    state.runner = configuration.runner
    state.owner = UUID().uuidString
    state.instances = []
    state.isDrained = nil
    try runner.save(state)
    return state
  }

  /// What was last known of `cluster`; nil if nothing was.
  ///
  /// A cache that cannot be read is as none: etcd has the truth, and what runs here is elsewhere.
  func loadCache(of cluster: String) -> CachedState? {
    guard let state = try? cache.load(), state.cluster.isSame(as: cluster) else { return nil }
    return state
  }
}
