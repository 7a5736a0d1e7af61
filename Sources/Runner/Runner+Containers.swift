import Fabric
import Foundation
import LinuxSystem
import Model
import ServiceLog

/// Containers as instances. Their engine makes namespaces, cgroup and processes, and the OCI wrapper
/// and its hooks ask for the rest (Sources/OCIRuntime).
extension Runner {
  /// What a container is to be given before it is made.
  struct Prepared: Sendable {
    let environment: InstanceEnvironment
    let hostsPath: String
  }

  /// How long a prepared hosts file waits for its container.
  private static let patience = Duration.seconds(60)

  var containerRecords: ContainerRecords {
    ContainerRecords(directory: installation.containersDirectory)
  }

  /// Writes a hosts file for a container of a service; `hosts` is the engine's.
  func prepareContainer(
    of name: ServiceName, in deployment: DeploymentName, hosts: String
  ) async throws -> Prepared {
    let environment = try await environment(of: name, in: deployment)
    let services = try await registry.services(of: deployment)
    let service = try await registry.service(name, of: deployment)
    let number = String(UInt64.random(in: 0...UInt64.max), radix: 16)
    let path = "\(installation.containerHostsDirectory)/\(number)"
    try hostsFiles.make(
      path, base: hosts, hostsEntries(of: ServicePlace(service), among: services))
    Task {
      try await Task.sleep(for: Self.patience)
      try removeHostsFiles { $0 == path }
    }
    return Prepared(environment: environment, hostsPath: path)
  }

  /// Makes the container around `process`, its first one, an instance of a service: programs on its
  /// cgroup, ist0 in its network namespace, all confirmed by the kernel before it returns (`start`). It is
  /// unidentified until it is published.
  ///
  /// Throws `RunnerError.unusableContainer` where the cgroup is not the container's own; on failure
  /// the cgroup keeps the programs and has no identity, so that everything is denied.
  func attachContainer(
    _ container: String, of engine: String, process: Int32, hostsPath: String,
    service name: ServiceName, in deploymentName: DeploymentName
  ) async throws -> RunningInstance {
    func unusable(_ problem: String) -> RunnerError { .unusableContainer(container, problem) }
    guard isContainerHostsFile(hostsPath), SmallFile.exists(hostsPath) else {
      throw unusable("its hosts file \(hostsPath) is not one that was prepared: start it again")
    }
    let namespace = try instanceNamespace(ofThread: process)
    let cgroup = try CgroupHierarchy.find().cgroup(of: process)
    // An engine that starts a container again may use the same cgroup and namespace.
    for ended in instances
    where try ended.record != nil && !ended.cgroup.hasProcesses() { await end(ended) }
    guard try cgroup.isOwn(of: process) else {
      throw unusable(
        "its cgroup \(cgroup.path) is not its own: does the engine run without cgroups, or does the "
          + "runtime not know cgroup2?")
    }
    if let other = instances.first(where: { cgroup.isInside($0.cgroup) }) {
      throw unusable(
        "its cgroup \(cgroup.path) is an instance already, or inside one: \(other.instance.id)")
    }
    guard !instances.dismissed.contains(where: { cgroup != $0 && cgroup.isInside($0) }) else {
      throw unusable("its cgroup \(cgroup.path) is inside one whose service was removed")
    }
    let others = instances.map { ($0.instance, $0.cgroup) }
    let namespaces = ContainerNamespaces(
      process: process,
      equals: others.filter { $0.0.deployment == deploymentName && $0.0.service == name }.map(\.1),
      strangers: others.filter { $0.0.deployment != deploymentName }.map(\.1))
    if let problem = try namespaces.objection() { throw unusable(problem) }

    let new = try await start(
      name, in: deploymentName, namespace,
      container: { instance in
        ContainerRecord(
          instance: instance.id, container: container, engine: engine.isEmpty ? nil : engine,
          cgroupPath: cgroup.path, hostsPath: hostsPath)
      })
    logger.info(
      "\(new.instance.id) is container \(container) of \(engine)", metadata: new.instance.logFields)
    return new
  }

  /// Ends the instance of the container that has the hosts file `hostsPath`, and removes the file.
  func detachContainer(hostsPath: String) async throws {
    guard isContainerHostsFile(hostsPath) else { return }
    if let ended = instances.first(where: { $0.hostsPath == hostsPath }) { await end(ended) }
    try removeHostsFiles { $0 == hostsPath }
  }

  // MARK: After a restart

  /// Removes what an earlier daemon left of containers that are none of the running instances; throws
  /// `RunnerError.unknownInstances` where processes run in one.
  func removeContainerOrphans() throws {
    let known = Set(instances.map(\.link.ifindex))
    let orphans = try containerRecords.all().filter { !known.contains($0.key) }
    // Those that are unidentified were dismissed.
    let live = try orphans.values.filter { record in
      let cgroup = Cgroup(path: record.cgroupPath)
      guard record.isAttached, try cgroup.hasProcesses() else { return false }
      return try dataplane.isIdentified(cgroup: try cgroup.id())
    }
    guard live.isEmpty else {
      throw RunnerError.unknownInstances(live.map(\.cgroupPath).sorted())
    }
    for ifindex in orphans.keys { try containerRecords.remove(of: ifindex) }
    try removeHostsFiles { _ in true }
  }

  /// Removes those hosts files of no running container that `isMeant` says.
  private func removeHostsFiles(_ isMeant: (String) -> Bool) throws {
    let used = Set(instances.map(\.hostsPath))
    let directory = installation.containerHostsDirectory
    for path in try DirectoryListing.names(in: directory).map({ "\(directory)/\($0)" })
    where isMeant(path) && !used.contains(path) {
      try removeIfThere(path)
      hostsFiles.forget(path)
    }
  }

  private func isContainerHostsFile(_ path: String) -> Bool {
    let prefix = installation.containerHostsDirectory + "/"
    return path.hasPrefix(prefix) && UInt64(path.dropFirst(prefix.count), radix: 16) != nil
  }
}

extension Cgroup {
  /// Whether `process` is the only one in it and in the cgroups inside it.
  fileprivate func isOwn(of process: Int32) throws -> Bool {
    try processes() == [process] && children().allSatisfy { try !$0.isPopulated() }
  }
}
