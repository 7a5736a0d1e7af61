import Dataplane
import Fabric
import Foundation
import Glibc
import LinuxSystem
import Model

extension Runner {
  /// What a command needs to become the instance's first process.
  struct Started: Sendable {
    let running: RunningInstance
    let environment: InstanceEnvironment
  }

  /// How long an instance may be without a process before its first one.
  private static let patience = Duration.seconds(10)

  /// Makes an instance around the network namespace of `thread`: everything is in place, and
  /// confirmed by the kernel, before it returns. On failure nothing of it remains.
  func startInstance(
    of name: ServiceName, in deploymentName: DeploymentName, thread: Int32
  ) async throws -> Started {
    let namespace = try Self.instanceNamespace(ofThread: thread)
    let deployment = try await registry.deployment(named: deploymentName)
    let services = try await registry.services(of: deploymentName)
    let service = try await registry.service(name, of: deploymentName)
    let instance = try await registry.allocateInstance(
      of: name, in: deploymentName, runner: configuration.runnerName)
    let new = running(instance, of: deployment)
    running[instance.id] = new
    do {
      try setUp(new, of: deployment, in: namespace)
      try writeHostsFile(of: new, services: services)
      try publish(service, of: deployment)
      try watch.add(new.cgroup, awaitingFirstProcess: true)
    } catch {
      await end(new)
      throw error
    }
    endIfUnused(new)
    logger.info("started \(instance.id) at \(new.identity.address)")
    return Started(
      running: new,
      environment: InstanceEnvironment(
        of: service, among: services, plan: plan, runner: configuration.runnerName))
  }

  /// The walls first: the cgroup denies everything until it is identified, and the link is filtered
  /// before it is up.
  private func setUp(
    _ new: RunningInstance, of deployment: Deployment, in namespace: NetworkNamespace
  ) throws {
    try RunningInstance.deploymentCgroup(new.instance.deployment, in: instancesRoot).create()
    try new.cgroup.create()
    let descriptor = try new.cgroup.open()
    try dataplane.guardCgroup(descriptor: descriptor.rawValue, path: new.cgroup.path)
    try dataplane.identify(new.identity, cgroup: try new.cgroup.id())
    let fabric = fabric(of: new.instance.deployment)
    try fabric.create()
    try remote?.serve(deployment, fabric: fabric)
    try fabric.attach(new.link, netns: namespace) { try dataplane.attachSwitch(to: $0) }
  }

  /// The namespace of a thread, if it is one that may become an instance's: not the daemon's own,
  /// which would put the host into the deployment.
  private static func instanceNamespace(ofThread thread: Int32) throws -> NetworkNamespace {
    let namespace: NetworkNamespace
    do {
      namespace = try NetworkNamespace(path: "/proc/\(thread)/ns/net")
    } catch {
      throw RunnerError.unusableNamespace(thread: thread, problem: "\(error)")
    }
    guard try NetworkNamespace.current().identity != namespace.identity else {
      throw RunnerError.unusableNamespace(thread: thread, problem: "it is the host's own")
    }
    return namespace
  }

  /// A caller that was killed before it moved into the cgroup leaves an instance without a process.
  private func endIfUnused(_ new: RunningInstance) {
    Task {
      try await Task.sleep(for: Self.patience)
      guard running[new.instance.id] != nil, (try? new.cgroup.isPopulated()) != true else { return }
      logger.warning("\(new.instance.id) had no process for \(Self.patience): ended")
      await end(new)
    }
  }

  /// An instance ended, or did not come to be: removes what there is of it, whatever fails. The
  /// number is given back last, so that nothing of it is found by its successor.
  func end(_ ended: RunningInstance) async {
    let id = ended.instance.id
    guard running.removeValue(forKey: id) != nil else { return }
    watch.remove(ended.cgroup)
    func attempt(_ what: String, _ body: () throws -> Void) {
      do { try body() } catch { logger.error("\(id): cannot \(what): \(error)") }
    }
    do {
      let deployment = try await registry.deployment(named: ended.instance.deployment)
      let service = try await registry.service(ended.instance.service, of: deployment.name)
      try publish(service, of: deployment)
    } catch {
      logger.error("\(id): cannot withdraw: \(error)")
    }
    attempt("forget") { try dataplane.forget(ended.identity) }
    let fabric = fabric(of: ended.instance.deployment)
    attempt("detach the link") {
      if fabric.exists { try fabric.detach(ifindex: ended.link.ifindex) }
    }
    attempt("remove the cgroup") { try ended.cgroup.removeRecursively() }
    attempt("remove the hosts file") { try removeIfThere(ended.hostsPath) }
    do {
      try await registry.releaseInstance(ended.instance)
      logger.info("ended \(id)")
    } catch {
      logger.error("\(id): cannot give the number back: \(error)")
    }
  }

  /// Writes in place, since the file is bound over /etc/hosts and a new file would not be seen there.
  func writeHostsFile(of instance: RunningInstance, services: [Service]) throws {
    let directory = (instance.hostsPath as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    let base = (try? SmallFile.read("/etc/hosts")) ?? "127.0.0.1 localhost\n"
    let text = HostsFile.text(base: base, services: services, plan: plan)
    let descriptor = try OwnedDescriptor(
      opening: instance.hostsPath, flags: O_WRONLY | O_CREAT | O_CLOEXEC, mode: 0o644)
    let bytes = Array(text.utf8)
    guard pwrite(descriptor.rawValue, bytes, bytes.count, 0) == bytes.count,
      ftruncate(descriptor.rawValue, off_t(bytes.count)) == 0
    else { throw SystemError(.last, "write", instance.hostsPath) }
  }

  private func removeIfThere(_ path: String) throws {
    guard unlink(path) == 0 || errno == ENOENT else {
      throw SystemError(.last, "remove", path)
    }
  }
}
