import Fabric
import LinuxSystem
import Model
import ServiceLog

/// Connections that end because those who had them may no longer.
extension Runner {
  /// How long what an ended instance's programs wrote may take to be read. With it, what is cut is cut
  /// within a second.
  private static let draining = Duration.milliseconds(500)

  /// Waits until the sockets that an ended instance's programs left have sent all that they hold, or
  /// have had their time.
  func drain(_ ended: RunningInstance) async {
    await Self.drain(within: Self.draining) {
      try namespaces(of: ended).flatMap { try TCPConnections.list(in: $0) }
    } report: {
      logger.error(
        "\(ended.instance.id): cannot see what is still to be sent: \($0)",
        metadata: ended.instance.logFields)
    }
  }

  /// Looks at the connections that `list` finds until none holds anything unsent, for so long at most. What
  /// cannot be listed is not taken for drained, and is reported once.
  static func drain(
    within patience: Duration, isolation: isolated (any Actor)? = #isolation,
    _ list: () throws -> [TCPConnection], report: (any Error) -> Void
  ) async {
    let deadline = ContinuousClock.now + patience
    var isReported = false
    while ContinuousClock.now < deadline, !Task.isCancelled {
      do {
        let connections = try list()
        if connections.allSatisfy({ $0.unacknowledged == 0 || $0.peer.isLoopback }) { return }
      } catch {
        if !isReported { report(error) }
        isReported = true
      }
      // Throws where the task is cancelled, which the loop sees.
      try? await Task.sleep(for: .milliseconds(10))
    }
  }

  /// Cuts an instance's connections at both ends. First at its own, from where the RST reaches the
  /// others, on other runners through the relay; then at those ends that it did not reach, since its
  /// sockets are gone. An end that knows already that nothing more comes is left: what it writes is
  /// answered with RST by the fabric.
  ///
  /// Returns how many ends of its own that were.
  @discardableResult
  func cutConnections(of instance: RunningInstance) -> Int {
    let cgroups = cgroupIDs(of: instance)
    let count = cut("all its own", of: instance) { [plan] connection in
      connection.peer != connection.local && !connection.peer.isLoopback
        && (plan.contains(connection.peer) || connection.isOf(cgroups))
    }
    let address = instance.identity.address
    for other in instances
    where other.instance.deployment == instance.instance.deployment
      && other.instance != instance.instance
    {
      cut("with \(instance.instance.id)", of: other) { $0.peer == address && !$0.hasPeerEnded }
    }
    let fabric = fabric(of: instance.instance.deployment)
    guard fabric.exists else { return count }
    do {
      try TCPConnections.cut(in: try fabric.open()) { $0.peer == address && !$0.hasPeerEnded }
    } catch {
      logger.error(
        "\(instance.instance.id): cannot cut the relay's connections: \(error)",
        metadata: instance.instance.logFields)
    }
    return count
  }

  /// Cuts those of an instance's network namespaces that `isCut` names, and returns how many that were.
  @discardableResult
  func cut(
    _ what: String, of instance: RunningInstance, where isCut: (TCPConnection) -> Bool
  ) -> Int {
    var total = 0
    for namespace in namespaces(of: instance) {
      do {
        let count = try TCPConnections.cut(in: namespace, where: isCut)
        total += count
        if count > 0 {
          logger.info(
            "\(instance.instance.id): cut \(count) connections: \(what)",
            metadata: instance.instance.logFields)
        }
      } catch {
        logger.error(
          "\(instance.instance.id): cannot cut connections: \(error)",
          metadata: instance.instance.logFields)
      }
    }
    return total
  }

  /// The network namespace with an instance's ist0: the one that it was started in, or, where an
  /// earlier daemon started it, those of its processes that have a link of its number.
  func namespaces(of instance: RunningInstance) -> [NetworkNamespace] {
    if let own = instances.namespace(of: instance.instance.id) { return [own] }
    var found: [NetworkNamespace.Identity: NetworkNamespace] = [:]
    do {
      for process in try instance.cgroup.allProcesses() {
        guard let namespace = try? NetworkNamespace(process: process),  // It may end meanwhile.
          found[namespace.identity] == nil,
          try InstanceLink.isIn(namespace, ifindex: instance.link.ifindex)
        else { continue }
        found[namespace.identity] = namespace
      }
    } catch let error as SystemError where error.errno == .noSuchFileOrDirectory {
      // The cgroup is gone, and with it its processes.
    } catch {
      logger.error(
        "\(instance.instance.id): cannot look for its network namespace: \(error)",
        metadata: instance.instance.logFields)
    }
    if found.count == 1, let only = found.values.first {
      instances.found(only, of: instance.instance.id)
    }
    return Array(found.values)
  }
}

extension TCPConnection {
  /// Whether its socket is of one of these cgroups, or the kernel does not say.
  func isOf(_ cgroups: Set<UInt64>) -> Bool { cgroup.map(cgroups.contains) ?? true }
}

extension Runner {
  /// The ids of an instance's cgroup, whether it is still there or not, and of those inside it.
  func cgroupIDs(of instance: RunningInstance) -> Set<UInt64> {
    var ids: Set<UInt64> = []
    do {
      if let own = try dataplane.cgroup(of: instance.identity) { ids.insert(own) }
      ids.formUnion(try instance.cgroup.withDescendants().map { try $0.id() })
    } catch let error as SystemError where error.errno == .noSuchFileOrDirectory {
      // It is gone, or one inside it went while it was looked at.
    } catch {
      logger.error(
        "\(instance.instance.id): cannot tell all of its sockets: \(error)",
        metadata: instance.instance.logFields)
    }
    return ids
  }
}
