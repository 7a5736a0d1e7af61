import Dataplane
import Fabric
import LinuxSystem
import Model
import ServiceLog
import Registry

/// Instances whose service is removed from their deployment while they run.
///
/// Their processes are not this one's to end. They go on, and are nobody: their connections are cut, at
/// both ends, and their sockets have loopback left and nothing else (EPERM). What a later instance of a
/// service with the same name has is not theirs.
extension Runner {
  /// Declares services, and dismisses the instances here whose services are removed by that.
  ///
  /// Throws `RegistryError.serviceHasInstances` for instances of other runners: only these can end
  /// them.
  func declare(
    _ declarations: [ServiceDeclaration], in name: DeploymentName, replace: Bool
  ) async throws -> DeclarationOutcome {
    while true {
      do {
        return try await registry.declare(declarations, in: name, replace: replace)
      } catch let error as RegistryError {
        // It has looked at everything else before.
        guard case .serviceHasInstances(let instances) = error,
          instances.allSatisfy({ running[$0.id]?.instance == $0 })
        else { throw error }
        for instance in instances {
          if let dismissed = running[instance.id] { await dismiss(dismissed) }
        }
      }
    }
  }

  private func dismiss(_ instance: RunningInstance) async {
    let id = instance.instance.id
    guard running.removeValue(forKey: id) != nil else { return }
    unproven.remove(id)
    dismissed.insert(instance.cgroup)
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

  /// A number whose cgroup has no process of a dismissed instance.
  func allocateInstance(
    of service: ServiceName, in deployment: Deployment
  ) async throws -> Instance {
    let begin = ContinuousClock.now
    var occupied: [Instance] = []
    let allocated: Result<Instance, any Error>
    do {
      while true {
        let instance = try await registry.allocateInstance(
          of: service, in: deployment.name, runner: configuration.runnerName)
        guard dismissed.contains(running(instance, of: deployment).cgroup) else {
          allocated = .success(instance)
          break
        }
        occupied.append(instance)
      }
    } catch { allocated = .failure(error) }
    for instance in occupied { try await registry.releaseInstance(instance) }
    let instance = try allocated.get()
    starting[instance.id] = begin
    return instance
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
