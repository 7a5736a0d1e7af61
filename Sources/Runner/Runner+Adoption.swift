import Dataplane
import Fabric
import LinuxSystem
import Model

extension Runner {
  /// Takes over what an earlier daemon left: replaces its programs step by step, publishes what the
  /// registry says, and only then removes what is no more. Nothing is emptied first, and traffic
  /// goes on meanwhile.
  ///
  /// Throws `RunnerError.unknownInstances` where processes run that the registry does not know, since
  /// their deployment's id could be given to another one.
  public func adopt() async throws {
    let deployments = try await registry.deployments()
    let byName = Dictionary(uniqueKeysWithValues: deployments.map { ($0.name, $0) })
    var ended: [RunningInstance] = []
    // A runner that is alone may have had another name before; one of many has only its own.
    let isShared = configuration.cluster != nil
    for instance in try await registry.instances() {
      guard let deployment = byName[instance.deployment],
        !isShared || instance.runner == configuration.runnerName
      else { continue }
      let found = running(instance, of: deployment)
      running[instance.id] = found
      if (try? found.cgroup.isPopulated()) != true { ended.append(found) }
    }
    try refuseUnknownInstances()

    for found in running.values where !ended.contains(where: { $0.instance == found.instance }) {
      try readopt(found)
    }
    for deployment in deployments {
      try await publish(deployment)
      let fabric = fabric(of: deployment.name)
      if fabric.exists { try remote?.serve(deployment, fabric: fabric) }
    }
    for found in ended { await end(found) }
    try await removeOrphans(of: deployments)
    logger.info("adopted \(running.count) instances of \(deployments.count) deployments")
  }

  /// A living instance: the new daemon's programs take the place of the old one's.
  private func readopt(_ found: RunningInstance) throws {
    let descriptor = try found.cgroup.open()
    try dataplane.guardCgroup(descriptor: descriptor.rawValue, path: found.cgroup.path)
    // Before the identity and the links, which a daemon killed in between did not get to.
    let known = try dataplane.identified().contains(found.identity)
    if !known { try dataplane.identify(found.identity, cgroup: try found.cgroup.id()) }
    let fabric = try fabric(of: found.instance.deployment).open()
    try fabric.perform { try dataplane.attachSwitch(to: found.link.ifindex) }
    try watch.add(found.cgroup)
  }

  private func publish(_ deployment: Deployment) async throws {
    try dataplane.publish(deployment: deployment)
    for service in try await registry.services(of: deployment.name) {
      try publish(service, of: deployment)
    }
  }

  private func refuseUnknownInstances() throws {
    let known = Set(running.values.map(\.cgroup))
    let unknown = try instancesRoot.children().flatMap { try $0.children() }
      .filter { !known.contains($0) && (try? $0.isPopulated()) == true }
    guard unknown.isEmpty else { throw RunnerError.unknownInstances(unknown.map(\.path).sorted()) }
  }

  /// Removes what no record of the registry stands for: map entries, fabrics, empty cgroups.
  private func removeOrphans(of deployments: [Deployment]) async throws {
    let ids = Set(deployments.map(\.id))
    var services: Set<[UInt16]> = []
    for deployment in deployments {
      for service in try await registry.services(of: deployment.name) {
        services.insert([deployment.id, service.number])
      }
    }
    for key in try dataplane.publishedServices()
    where !services.contains([key.deployment, key.service]) {
      try dataplane.withdraw(service: key.service, deployment: key.deployment)
    }
    let identities = Set(running.values.map(\.identity))
    for identity in try dataplane.identified() where !identities.contains(identity) {
      try dataplane.forget(identity)
    }
    for id in try dataplane.publishedDeployments() where !ids.contains(id) {
      try dataplane.withdraw(deployment: id)
    }
    let names = Set(deployments.map(\.name))
    for name in try NetworkNamespace.names() {
      guard let deployment = installation.deployment(ofFabric: name), !names.contains(deployment)
      else { continue }
      try NetworkNamespace.delete(named: name)
    }
    let cgroups = Set(running.values.map(\.cgroup))
    for cgroup in try instancesRoot.children() {
      for child in try cgroup.children() where !cgroups.contains(child) {
        try child.removeRecursively()
      }
      if try cgroup.children().isEmpty { try cgroup.remove() }
    }
  }
}
