import Dataplane
import Fabric
import LinuxSystem
import Model
import ServiceLog

extension Runner {
  /// Takes over what an earlier daemon left: replaces its programs step by step, publishes what the
  /// registry says, and only then removes what is no more. Nothing is emptied first, and traffic
  /// goes on meanwhile.
  ///
  /// Throws `RunnerError.unknownInstances` where processes run that the registry does not know, since
  /// their deployment's id could be given to another one.
  public func adopt() async throws {
    await takeFirstView()
    for id in try dataplane.publishedDeployments() { published[id] = [] }
    for (id, service) in try dataplane.publishedServices() {
      published[id, default: []].insert(service)
    }
    let deployments = try await registry.deployments()
    let byName = Dictionary(uniqueKeysWithValues: deployments.map { ($0.name, $0) })
    var ended: [RunningInstance] = []
    // A runner that is alone may have had another name before; one of many has only its own.
    let isShared = configuration.cluster != nil
    for instance in try await registry.instances() {
      guard let deployment = byName[instance.deployment],
        !isShared || instance.runner == configuration.runnerName
      else { continue }
      let place = Identity(
        deployment: deployment.id,
        address: plan.instanceAddress(instance.serviceNumber, instance.number))
      let record = try containerRecords.record(of: place.ifindex)
      let found = running(
        instance, of: deployment, record: record?.instance == instance.id ? record : nil)
      instances.insert(found, .identified)
      // Where it cannot be told, the daemon does not start: an instance that lives must not be taken for
      // one that ended, since its number would be another's.
      if try !found.cgroup.hasProcesses() || found.record?.isAttached == false {
        ended.append(found)
      }
    }
    try refuseUnknownInstances()
    try removeContainerOrphans()

    for found in instances where !ended.contains(where: { $0.instance == found.instance }) {
      try readopt(found)
    }
    for deployment in deployments {
      let services = try await registry.services(of: deployment.name)
      do { try apply(services, of: deployment) } catch {
        // It goes on as it was, and is tried again.
        logger.error(
          "\(deployment.name) is not in effect as it is declared: \(error)",
          metadata: deployment.name.logFields)
      }
      do { try tellRelay(deployment) } catch {
        // One that it was never told of would be no more to it once it is told that this is all.
        guard relay.knows(deployment.id) else { throw error }
        markUnapplied(deployment)
        logger.error(
          "istbpf-relay has not taken over \(deployment.name): \(error)",
          metadata: deployment.name.logFields)
      }
    }
    for found in ended { await end(found) }
    try removeOrphans(of: deployments)
    beginFollowingNames()
    logger.info("adopted \(instances.count) instances of \(deployments.count) deployments")
  }

  /// A living instance: the new daemon's programs take the place of the old one's.
  private func readopt(_ found: RunningInstance) throws {
    let descriptor = try found.cgroup.open()
    try dataplane.guardCgroup(descriptor: descriptor.rawValue, path: found.cgroup.path)
    // Where the earlier daemon was killed before it published the instance, nothing is proved, and the
    // process that asked for it is told so and ends.
    if try !dataplane.isIdentified(cgroup: try found.cgroup.id()) {
      instances.insert(found, .starting(since: nil))
    } else {
      try dataplane.renewNamespaceGuard(of: found.identity)
    }
    let fabric = try fabric(of: found.instance.deployment).open()
    try fabric.perform { try dataplane.attachSwitch(to: found.link.ifindex) }
    try watch.add(found.cgroup)
  }

  /// Those that are unidentified are of dismissed instances.
  private func refuseUnknownInstances() throws {
    let known = Set(instances.map(\.cgroup))
    var unknown = try instancesRoot.children().flatMap { try $0.children() }
      .filter { try !known.contains($0) && $0.hasProcesses() }
    let dismissed = try unknown.filter { try !dataplane.isIdentified(cgroup: try $0.id()) }
    unknown.removeAll(where: dismissed.contains)
    instances.dismissed.formUnion(dismissed)
    for cgroup in dismissed { try watch.add(cgroup) }
    guard unknown.isEmpty else { throw RunnerError.unknownInstances(unknown.map(\.path).sorted()) }
  }

  /// Removes what no record of the registry stands for: map entries, fabrics, empty cgroups.
  private func removeOrphans(of deployments: [Deployment]) throws {
    let ids = Set(deployments.map(\.id))
    let identities = Set(instances.map(\.identity))
    for identity in try dataplane.identified() where !identities.contains(identity) {
      try dataplane.forget(identity)
    }
    for id in published.keys where !ids.contains(id) { try withdraw(id: id) }
    let names = Set(deployments.map(\.name))
    for name in try NetworkNamespace.names() {
      guard let deployment = installation.deployment(ofFabric: name), !names.contains(deployment),
        try fabric(of: deployment).isFabric()
      else { continue }
      try NetworkNamespace.delete(named: name)
    }
    let cgroups = Set(instances.map(\.cgroup))
    for cgroup in try instancesRoot.children() {
      for child in try cgroup.children()
      where !cgroups.contains(child) && !instances.dismissed.contains(child) {
        try child.removeRecursively()
      }
      if try cgroup.children().isEmpty { try cgroup.remove() }
    }
  }
}
