import Model

/// What differs between two views of the cluster.
public struct ClusterChanges: Hashable, Sendable {
  /// Deployments, by name and id.
  public let deployments: SetChange<Deployment>

  /// Services; one whose port, privacy, egress or timeout changed is in both.
  public let services: SetChange<Service>

  /// Instances; one that moved to another runner is in both.
  public let instances: SetChange<Instance>

  /// Runners; one whose address or version changed is in both.
  public let runners: SetChange<ClusterRunner>

  /// Whether nothing changed.
  public var isEmpty: Bool {
    deployments.isEmpty && services.isEmpty && instances.isEmpty && runners.isEmpty
  }
}

/// What a set gained and lost.
public struct SetChange<Element: Hashable & Sendable>: Hashable, Sendable {
  /// What is there and was not, in the order of the new view.
  public let added: [Element]

  /// What was there and is not, in the order of the old view.
  public let removed: [Element]

  /// Whether nothing changed.
  public var isEmpty: Bool { added.isEmpty && removed.isEmpty }

  init(from old: [Element], to new: [Element]) {
    let (oldSet, newSet) = (Set(old), Set(new))
    added = new.filter { !oldSet.contains($0) }
    removed = old.filter { !newSet.contains($0) }
  }
}

extension ClusterView {
  /// What to do to a state that is `old` so that it becomes this; `old` is nil at the beginning.
  public func changes(since old: ClusterView?) -> ClusterChanges {
    ClusterChanges(
      deployments: SetChange(from: old?.deployments ?? [], to: deployments),
      services: SetChange(from: old?.services ?? [], to: services),
      instances: SetChange(from: old?.instances ?? [], to: instances),
      runners: SetChange(from: old?.runners ?? [], to: runners))
  }
}
