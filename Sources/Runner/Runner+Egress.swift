import Dataplane
import Fabric
import LinuxSystem
import Model

/// What services may connect to outside their deployments.
extension Runner {
  /// Makes the kernel allow the services of a deployment what they declare, and nothing else. What they
  /// no longer declare is revoked, and the connections that it had allowed are cut. Throws the first
  /// error, once everything was tried: a rule that cannot be added keeps no other from being revoked.
  func publishEgress(of services: [Service], in deployment: Deployment) throws {
    egress.declare(services, in: deployment)
    followNames()
    let current = try dataplane.egress(ofDeployment: deployment.id)
    var steps = Steps()
    let all = services.map { service in
      Opening(service, allowed(service, besides: current[service.number] ?? []))
    }
    for opening in all { egress.relayed[ServicePlace(opening.service)] = opening.allowed }
    // First, so that the relay lets nobody through any more whose connections are cut then.
    steps.attempt { try tellRelay(deployment) }
    for opening in all {
      open(opening, in: deployment, current[opening.service.number] ?? [], &steps)
    }
    let declared = Set(services.map(\.number))
    for (service, networks) in current where !declared.contains(service) {
      outside.note(nil, of: service, in: deployment.id)
      steps.attempt { try revoke(networks, of: service, in: deployment, keeping: []) }
    }
    if let first = steps.errors.first { throw first }
  }

  /// The same of one service, which may connect to `old` now.
  func publishEgress(
    of service: Service, in deployment: Deployment, _ old: Set<AllowedNetwork>, _ steps: inout Steps
  ) {
    let opening = Opening(service, allowed(service, besides: old))
    egress.relayed[ServicePlace(service)] = opening.allowed
    steps.attempt { try tellRelay(deployment) }
    open(opening, in: deployment, old, &steps)
  }

  /// Where a service may connect.
  private struct Opening {
    let service: Service
    let allowed: Set<AllowedNetwork>
    let named: [AllowedNetwork: Set<HostName>]

    init(
      _ service: Service,
      _ allowed: (all: Set<AllowedNetwork>, named: [AllowedNetwork: Set<HostName>])
    ) {
      self.service = service
      (self.allowed, named) = allowed
    }
  }

  private func open(
    _ opening: Opening, in deployment: Deployment, _ old: Set<AllowedNetwork>, _ steps: inout Steps
  ) {
    let (service, allowed, named) = (opening.service, opening.allowed, opening.named)
    let place = ServicePlace(service)
    let before = steps.errors.count
    for instance in instances where ServicePlace(instance.instance) == place {
      steps.attempt { try route(instance, hasRules: !service.egress.isEmpty) }
    }
    steps.attempt {
      try dataplane.allow(
        allowed.subtracting(old), service: service.number, deployment: deployment.id)
    }
    steps.attempt {
      try revoke(old.subtracting(allowed), of: service.number, in: deployment, keeping: allowed)
    }
    egress.opened[place] = steps.errors.count == before ? allowed : nil
    egress.named[place] = named.isEmpty ? nil : named
    var names: [IPv4Address: HostName] = [:]
    for (network, found) in named { names[network.network.first] = found.min() }
    outside.note(names.isEmpty ? nil : names, of: service.number, in: deployment.id)
  }

  /// Gives an instance whose service has egress rules a way out over ist0, or takes it away.
  func route(_ instance: RunningInstance, hasRules: Bool) throws {
    let id = instance.instance.id
    guard hasRules != egress.routed.contains(id) else { return }
    for namespace in namespaces(of: instance) where try isLinked(instance, in: namespace) {
      try FabricNamespace.setWayOut(hasRules, over: instance.link, in: namespace)
      if hasRules { egress.routed.insert(id) } else { egress.routed.remove(id) }
    }
  }

  /// Whether it has ist0 yet, and still.
  private func isLinked(
    _ instance: RunningInstance, in namespace: NetworkNamespace
  ) throws -> Bool { try InstanceLink.isIn(namespace, ifindex: instance.link.ifindex) }

  /// First cut, so that the RST finds its way out; then revoked; then cut what came in between, of
  /// which the other end is not told.
  private func revoke(
    _ revoked: Set<AllowedNetwork>, of service: ServiceNumber, in deployment: Deployment,
    keeping kept: Set<AllowedNetwork>
  ) throws {
    guard !revoked.isEmpty else { return }
    let own = instances.filter {
      $0.instance.deployment == deployment.name && $0.instance.serviceNumber == service
    }
    for instance in own { cutEgress(of: instance, keeping: kept) }
    try dataplane.revoke(revoked, service: service, deployment: deployment.id)
    for instance in own { cutEgress(of: instance, keeping: kept) }
  }

  /// Cuts the connections that nothing of `kept` allows, of the instance's own sockets: others may
  /// share its network namespace.
  private func cutEgress(of instance: RunningInstance, keeping kept: Set<AllowedNetwork>) {
    let cgroups = cgroupIDs(of: instance)
    func isKept(_ address: IPv4Address, _ port: UInt16) -> Bool {
      kept.contains { $0.allows(address, port: port) }
    }
    cut("egress", of: instance) { [plan] connection in
      !plan.contains(connection.peer) && !connection.peer.isLoopback && connection.isOf(cgroups)
        && !isKept(connection.peer, connection.peerPort)
    }
    // The relay's ends, where the RST did not reach them.
    let fabric = fabric(of: instance.instance.deployment)
    guard fabric.exists else { return }
    attempt("cut the relay's connections of", instance.instance.id) {
      try TCPConnections.cut(in: try fabric.open()) { [plan] connection in
        connection.peer == instance.identity.address && !plan.contains(connection.local)
          && !isKept(connection.local, connection.localPort)
      }
    }
  }
}
