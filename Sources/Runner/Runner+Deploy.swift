import Fabric
import LinuxSystem
import Model
import Registry

extension Runner {
  /// Declares services: in the registry first, which decides, then in the kernel and in the hosts
  /// files of what runs.
  func deploy(
    _ declarations: [ServiceDeclaration], in name: DeploymentName, replace: Bool
  ) async throws -> DeclarationOutcome {
    for declaration in declarations { try EgressRule.check(declaration.egress, against: plan) }
    try await refuseTakenNames(declarations, in: name)
    let before = try? await registry.deployment(named: name)
    let outcome = try await declare(declarations, in: name, replace: replace)
    if let deployment = outcome.deployment {
      try dataplane.publish(deployment: deployment)
      for service in outcome.services { try publish(service, of: deployment) }
      try publishEgress(of: outcome.services, in: deployment)
      for service in outcome.removed {
        try dataplane.withdraw(service: service.number, deployment: deployment.id)
      }
      for instance in running.values where instance.instance.deployment == name {
        try writeHostsFile(of: instance, services: outcome.services)
      }
    } else if let before {
      try withdraw(before)
    }
    logger.info(
      """
      deployed \(name): \(outcome.added.count) added, \(outcome.changed.count) changed, \
      \(outcome.removed.count) removed
      """)
    return outcome
  }

  /// A deployment is no more: its fabric, its cgroup and all that the kernel knows of it go.
  func withdraw(_ deployment: Deployment) throws {
    try publishEgress(of: [], in: deployment)
    try dataplane.withdraw(deployment: deployment.id)
    remote?.withdraw(deployment)
    let fabric = fabric(of: deployment.name)
    if fabric.exists { try fabric.delete() }
    let cgroup = RunningInstance.deploymentCgroup(deployment.name, in: instancesRoot)
    // Processes of dismissed instances may be in it: then it goes with the last of them.
    if cgroup.exists, try !cgroup.isPopulated() { try cgroup.removeRecursively() }
  }

  /// The variables that an instance of a service gets.
  func environment(
    of name: ServiceName, in deployment: DeploymentName
  ) async throws -> InstanceEnvironment {
    let services = try await registry.services(of: deployment)
    let service = try await registry.service(name, of: deployment)
    return InstanceEnvironment(
      of: service, among: services, plan: plan, runner: configuration.runnerName)
  }
}
