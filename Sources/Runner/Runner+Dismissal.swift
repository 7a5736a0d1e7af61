import Dataplane
import Fabric
import LinuxSystem
import Model
import ServiceLog
import Registry

/// Instances whose service is removed from their deployment while they run (`declare`).
///
/// Their processes are not this one's to end. They go on unidentified: their connections are cut, at
/// both ends, and their sockets have loopback left and nothing else (EPERM). What a later instance of a
/// service with the same name has is not theirs.
extension Runner {
  func dismiss(_ instance: RunningInstance) async {
    let id = instance.instance.id
    guard instances.end(id) else { return }
    instances.dismissed.insert(instance.cgroup)
    await withdraw(instance)
    cutConnections(of: instance)
    attempt("take the identity of", id) {
      try dataplane.unidentify(cgroup: try instance.cgroup.id())
    }
    // What it opened until then.
    cutConnections(of: instance)
    await release(instance)
    logger.notice(
      "\(id): its service is removed; its processes go on without a network",
      metadata: instance.instance.logFields)
  }

  /// The last process of a dismissed instance ended. A container's cgroup is its runtime's to remove.
  func removeDismissed(_ cgroup: Cgroup) {
    guard cgroup.path.hasPrefix(instancesRoot.path + "/") else { return }
    attempt("remove the cgroup", cgroup.path) {
      try cgroup.removeRecursively()
      let parent = cgroup.parent
      if try parent.children().isEmpty { try parent.remove() }
    }
  }
}
