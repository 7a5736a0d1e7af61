import Dataplane
import Fabric
import LinuxSystem
import Model
import ServiceLog
import Registry

/// Making the kernel and the hosts files what the registry says of a deployment: at the start, where it is declared here, and
/// where it changes on another runner.
///
/// What the registry says is compared with what the kernel was told (`published`), not with what the registry said before: so
/// what failed once is not taken for done. Every step is tried, whatever the others come to: what cannot be opened must not keep something else
/// from being closed. A deployment of which a step failed is in `unapplied`, and is done again as a whole
/// until nothing of it fails.
extension Runner {
  /// How long to wait before what failed is tried again: at first, and at most.
  private static let retryDelays = (first: Duration.seconds(1), longest: Duration.seconds(30))

  /// Makes services and their instances known to connect(), allows their egress rules, takes other services of the
  /// deployment away, and writes the hosts files of the instances that run. What goes away goes last.
  ///
  /// Throws the first error, once everything was tried.
  func apply(_ services: [Service], of deployment: Deployment) throws {
    var steps = Steps()
    steps.attempt { try dataplane.publish(deployment: deployment) }
    for service in services { steps.attempt { try publish(service, of: deployment) } }
    steps.attempt { try publishEgress(of: services, in: deployment) }
    let declared = services.map(\.number)
    for service in published[deployment.id]?.subtracting(declared) ?? [] {
      steps.attempt {
        try dataplane.withdraw(service: service, deployment: deployment.id)
        published[deployment.id]?.remove(service)
      }
    }
    for instance in instances where instance.instance.deployment == deployment.name {
      steps.attempt { try writeHostsFile(of: instance, services: services) }
    }
    try finish(steps, of: deployment)
  }

  /// A deployment is no more: its fabric, its cgroup and all that the kernel knows of it go. Throws as
  /// `apply` does.
  func withdraw(_ deployment: Deployment) throws {
    var steps = Steps()
    steps.attempt { try publishEgress(of: [], in: deployment) }
    steps.attempt { try withdraw(id: deployment.id) }
    replayLinks[deployment.id] = nil
    let fabric = fabric(of: deployment.name)
    if fabric.exists { steps.attempt { try fabric.delete() } }
    let cgroup = RunningInstance.deploymentCgroup(deployment.name, in: instancesRoot)
    steps.attempt {
      // Processes of dismissed instances may be in it: then it goes with the last of them.
      if cgroup.exists, try !cgroup.isPopulated() { try cgroup.removeRecursively() }
    }
    try finish(steps, of: deployment)
  }

  /// Nothing is a member any more of the deployment that had this id.
  func withdraw(id: DeploymentID) throws {
    var steps = Steps()
    steps.attempt { try relay.withdraw(id) }
    steps.attempt { try dataplane.withdrawEgress(ofDeployment: id) }
    steps.attempt {
      try dataplane.withdraw(deployment: id)
      published[id] = nil
    }
    if let first = steps.errors.first { throw first }
  }

  /// Notes that the kernel may not have what the registry says of a deployment, and has it tried again.
  func markUnapplied(_ deployment: Deployment) {
    unapplied.insert(deployment)
    guard !isRetryScheduled else { return }
    isRetryScheduled = true
    let delay = retryDelay ?? Self.retryDelays.first
    retryDelay = min(delay * 2, Self.retryDelays.longest)
    Task {
      try await Task.sleep(for: delay)
      await applyAgain()
    }
  }

  private func finish(_ steps: Steps, of deployment: Deployment) throws {
    applications += 1
    for watcher in watchers.values { watcher.yield() }
    guard let first = steps.errors.first else {
      unapplied.remove(deployment)
      if unapplied.isEmpty { retryDelay = nil }
      return
    }
    for other in steps.errors.dropFirst().prefix(8) {
      logger.error("\(deployment.name): \(other)", metadata: deployment.name.logFields)
    }
    markUnapplied(deployment)
    throw first
  }

  private func applyAgain() async {
    isRetryScheduled = false
    for deployment in unapplied {
      do {
        let before = applications
        let named = try await registry.deployments().first { $0.name == deployment.name }
        let services = named == deployment ? try await registry.services(of: deployment.name) : []
        // What was read may be older than what was applied meanwhile.
        guard unapplied.contains(deployment) else { continue }
        if before != applications {
          markUnapplied(deployment)
        } else if named == deployment {
          try apply(services, of: deployment)
        } else if named == nil {
          try withdraw(deployment)
        } else {
          // Another one has the name, the fabric and the cgroup now.
          try withdraw(id: deployment.id)
          unapplied.remove(deployment)
        }
        if !unapplied.contains(deployment) {
          logger.notice("\(deployment.name) is in effect now", metadata: deployment.name.logFields)
        }
      } catch {
        markUnapplied(deployment)
        logger.error(
          "\(deployment.name) is not in effect as it is declared: \(error)",
          metadata: deployment.name.logFields)
      }
    }
  }
}

/// Steps of which each is tried, whatever the others come to.
struct Steps {
  /// What failed, in the order of the steps.
  private(set) var errors: [any Error] = []

  /// Does one step.
  mutating func attempt(_ body: () throws -> Void) {
    do { try body() } catch { errors.append(error) }
  }
}
