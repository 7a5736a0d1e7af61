import Dataplane
import Fabric
import Foundation
import Glibc
import LinuxSystem
import Model
import ServiceLog

extension Runner {
  /// How long an instance may be without a process before its first one.
  private static let patience = Duration.seconds(10)

  /// Makes an instance around the network namespace of `thread`, as `start` does.
  ///
  /// `guarded` is called in between, as soon as a process may enter the cgroup.
  func startInstance(
    of name: ServiceName, in deployment: DeploymentName, thread: Int32,
    guarded: @escaping @Sendable (RunningInstance) async throws -> Void
  ) async throws {
    let namespace = try instanceNamespace(ofThread: thread)
    endIfUnused(try await start(name, in: deployment, namespace, guarded: guarded))
  }

  /// Makes an instance in a network namespace: everything is in place, and confirmed by the kernel, before it returns; but
  /// it is unidentified yet, see `publishInstance`. On failure nothing of it remains, but that a container's cgroup keeps the
  /// programs, so that everything is denied.
  ///
  /// A container has its cgroup and its hosts file, which `container` gives the record of. Else they are made, and `guarded`
  /// is called as soon as a process may enter the cgroup.
  func start(
    _ name: ServiceName, in deploymentName: DeploymentName, _ namespace: NetworkNamespace,
    container: ((Instance) -> ContainerRecord)? = nil,
    guarded: (@Sendable (RunningInstance) async throws -> Void)? = nil
  ) async throws -> RunningInstance {
    let begin = ContinuousClock.now
    let deployment = try await registry.deployment(named: deploymentName)
    let services = try await registry.services(of: deploymentName)
    let instance = try await allocateInstance(of: name, in: deployment)
    var record = container?(instance)
    let new = running(instance, of: deployment, record: record)
    instances.insert(new, .starting(since: begin), in: namespace)
    instances.dismissed.remove(new.cgroup)
    do {
      if let record { try containerRecords.write(record, of: new.link.ifindex) }
      try guardCgroup(of: new)
      if record == nil {
        try makeHostsFile(of: new, services: services)
      } else {
        try writeHostsFile(of: new, services: services)
      }
      try watch.add(new.cgroup, awaitingFirstProcess: record == nil)
      if let guarded {
        try await guarded(new)
        guard instances[instance.id]?.instance == instance else {
          throw RunnerError.notStarting(instance.id)
        }
      }
      try link(new, of: deployment, in: namespace)
      record?.isAttached = true
      if let record { try containerRecords.write(record, of: new.link.ifindex) }
    } catch {
      await end(new)
      throw error
    }
    return new
  }

  /// A number whose cgroup has no process of a dismissed instance.
  private func allocateInstance(
    of service: ServiceName, in deployment: Deployment
  ) async throws -> Instance {
    var occupied: [Instance] = []
    let allocated: Result<Instance, any Error>
    do {
      while true {
        let instance = try await registry.allocateInstance(
          of: service, in: deployment.name, runner: configuration.runnerName)
        guard instances.dismissed.contains(running(instance, of: deployment).cgroup) else {
          allocated = .success(instance)
          break
        }
        occupied.append(instance)
      }
    } catch { allocated = .failure(error) }
    for instance in occupied { try await registry.releaseInstance(instance) }
    return try allocated.get()
  }

  /// Makes an instance whose first process says that it is guarded a member of its deployment, and
  /// returns its variables. Throws `RunnerError` where it has no process, or is not one that starts,
  /// and `DataplaneError` where the kernel does not run every program for it.
  func publishInstance(_ id: String) async throws -> InstanceEnvironment {
    guard let started = instances[id] else { throw RunnerError.notStarting(id) }
    let deployment = try await registry.deployment(named: started.instance.deployment)
    let services = try await registry.services(of: deployment.name)
    let service = try await registry.service(started.instance.service, of: deployment.name)
    // Only now, since it may have ended meanwhile; nothing waits from here on.
    guard instances[id]?.instance == started.instance, instances.isStarting(id) else {
      throw RunnerError.notStarting(id)
    }
    guard try started.cgroup.isPopulated() else { throw RunnerError.noProcess(id) }
    let descriptor = try started.cgroup.open()
    try dataplane.confirmGuard(descriptor: descriptor.rawValue, path: started.cgroup.path)
    try dataplane.identify(
      started.identity, cgroup: try started.cgroup.id(),
      namespace: NamespaceNumbers(
        cookie: try instances.namespace(of: id)?.cookie() ?? 0,
        inFabric: try fabric(of: deployment.name).namespaceID(behind: started.link)))
    let begin = instances.identify(id)
    try publish(service, of: deployment)
    if let begin { startDurations.observe(.now - begin) }
    logger.info(
      "started \(id) at \(started.identity.address)", metadata: started.instance.logFields)
    if started.record != nil { Task { warnOfPublishedPorts(of: id) } }
    return InstanceEnvironment(
      of: service, among: services, plan: plan, runner: configuration.runnerName)
  }

  /// The walls first: a cgroup lets nothing through until it is identified.
  func guardCgroup(of new: RunningInstance) throws {
    if new.record == nil {
      try RunningInstance.deploymentCgroup(new.instance.deployment, in: instancesRoot).create()
      try new.cgroup.create()
    }
    let descriptor = try new.cgroup.open()
    try dataplane.guardCgroup(descriptor: descriptor.rawValue, path: new.cgroup.path)
  }

  /// Nor does a link, which is filtered before it is up.
  func link(
    _ new: RunningInstance, of deployment: Deployment, in namespace: NetworkNamespace
  ) throws {
    try dataplane.guardNamespace(descriptor: namespace.fileDescriptor, of: new.identity)
    let fabric = fabric(of: new.instance.deployment)
    try fabric.create()
    try tellRelay(deployment)
    try fabric.attach(new.link, netns: namespace) { try dataplane.attachSwitch(to: $0) }
    let place = ServicePlace(new.instance)
    let service = egress.declared[place.deployment]?.services.first { ServicePlace($0) == place }
    try route(new, hasRules: service?.egress.isEmpty == false)
  }

  /// The namespace of a thread, if it is one that may become an instance's: not the daemon's own,
  /// which would put the host into the deployment, and no fabric, where every instance of a deployment
  /// has its link.
  func instanceNamespace(ofThread thread: Int32) throws -> NetworkNamespace {
    let namespace: NetworkNamespace
    do {
      namespace = try NetworkNamespace(path: "/proc/\(thread)/ns/net")
    } catch {
      throw RunnerError.unusableNamespace(thread: thread, problem: "\(error)")
    }
    guard try NetworkNamespace.current().identity != namespace.identity else {
      throw RunnerError.unusableNamespace(thread: thread, problem: "it is the host's own")
    }
    for name in try NetworkNamespace.names(prefix: installation.fabricPrefix) {
      do {
        guard try NetworkNamespace(named: name).identity == namespace.identity else { continue }
      } catch let error as SystemError where error.errno == .noSuchFileOrDirectory { continue }
      throw RunnerError.unusableNamespace(thread: thread, problem: "it is the fabric \(name)")
    }
    return namespace
  }

  /// A caller that was killed before it moved into the cgroup leaves an instance without a process.
  private func endIfUnused(_ new: RunningInstance) {
    Task {
      while true {
        try await Task.sleep(for: Self.patience)
        do {
          if try new.cgroup.hasProcesses() { return }
          break
        } catch { logger.error("\(new.instance.id): \(error)", metadata: new.instance.logFields) }
      }
      if instances.dismissed.remove(new.cgroup) != nil { return removeDismissed(new.cgroup) }
      guard instances[new.instance.id] != nil else { return }
      logger.warning(
        "\(new.instance.id) had no process for \(Self.patience): ended",
        metadata: new.instance.logFields)
      await end(new)
    }
  }

  /// An instance ended, or did not come to be: removes what there is of it, whatever fails.
  func end(_ ended: RunningInstance) async {
    let id = ended.instance.id
    guard instances.end(id) else { return }
    watch.remove(ended.cgroup)
    await withdraw(ended)
    await drain(ended)
    cutConnections(of: ended)
    await release(ended)
    // A container's is its runtime's to remove.
    if ended.record == nil {
      attempt("remove the cgroup of", id) { try ended.cgroup.removeRecursively() }
    }
    logger.info("ended \(id)", metadata: ended.instance.logFields)
  }

  /// Nobody connects any more to an instance that is not among those running.
  func withdraw(_ ended: RunningInstance) async {
    do {
      let deployment = try await registry.deployment(named: ended.instance.deployment)
      let service = try await registry.service(ended.instance.service, of: deployment.name)
      try publish(service, of: deployment)
    } catch {
      logger.error(
        "\(ended.instance.id): cannot withdraw, and will try again: \(error)",
        metadata: ended.instance.logFields)
      markUnapplied(
        Deployment(name: ended.instance.deployment, id: ended.identity.deployment))
    }
  }

  /// Takes away what an instance has but its cgroup. The number is given back last, so that nothing of
  /// it is found by its successor.
  func release(_ ended: RunningInstance) async {
    let id = ended.instance.id
    instances.remove(id)
    egress.routed.remove(id)
    attempt("forget", id) { try dataplane.forget(ended.identity) }
    let fabric = fabric(of: ended.instance.deployment)
    attempt("detach the link of", id) {
      if fabric.exists { try fabric.detach(ifindex: ended.link.ifindex) }
    }
    attempt("remove the hosts file of", id) { try removeIfThere(ended.hostsPath) }
    hostsFiles.forget(ended.hostsPath)
    attempt("remove the record of", id) { try containerRecords.remove(of: ended.link.ifindex) }
    do {
      try await registry.releaseInstance(ended.instance)
    } catch is CancellationError {
      logger.info("\(id): istbpfd ends, and the next one gives its number back")
    } catch {
      logger.error("\(id): cannot give the number back: \(error)")
    }
  }

  /// Does what must not keep the rest from being done.
  func attempt(_ operation: String, _ object: String, _ body: () throws -> Void) {
    do { try body() } catch { logger.error("cannot \(operation) \(object): \(error)") }
  }

  /// Makes the hosts file of an instance of `istbpf run`: this machine's, and what is ours.
  private func makeHostsFile(of new: RunningInstance, services: [Service]) throws {
    let source = "/etc/hosts"
    let base = SmallFile.exists(source) ? try SmallFile.read(source) : "127.0.0.1 localhost\n"
    try hostsFiles.make(
      new.hostsPath, base: base,
      hostsEntries(of: ServicePlace(new.instance), among: services))
  }

  /// Makes the hosts file of an instance say what it should, while programs may be reading it.
  func writeHostsFile(of instance: RunningInstance, services: [Service]) throws {
    let entries = hostsEntries(of: ServicePlace(instance.instance), among: services)
    guard SmallFile.exists(instance.hostsPath) else {
      // Somebody removed it. What runs keeps the file that it has.
      return try hostsFiles.make(instance.hostsPath, base: "127.0.0.1 localhost\n", entries)
    }
    guard try hostsFiles.update(instance.hostsPath, entries), !isHostsUpdateScheduled else {
      return
    }
    isHostsUpdateScheduled = true
    Task {
      try await Task.sleep(for: HostsFiles.reading + .milliseconds(50))
      isHostsUpdateScheduled = false
      for instance in instances {
        guard let declared = egress.declared[instance.instance.deployment] else { continue }
        attempt("write the hosts file of", instance.instance.id) {
          try writeHostsFile(of: instance, services: declared.services)
        }
      }
    }
  }

  func removeIfThere(_ path: String) throws {
    guard unlink(path) == 0 || errno == ENOENT else {
      throw SystemError(.last, "remove", path)
    }
  }
}
