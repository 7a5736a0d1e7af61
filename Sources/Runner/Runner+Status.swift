import ControlAPI
import Dataplane
import Fabric
import Foundation
import Glibc
import LinuxSystem
import Model
import RelayControl

extension Runner {
  /// What is declared and what runs. What is attached is the kernel's word, not this one's memory.
  func status() async throws -> Istbpf_Control_V1_GetStatusResponse {
    var response = Istbpf_Control_V1_GetStatusResponse()
    response.runner = configuration.runnerName
    response.version = istbpfVersion
    response.range = plan.description
    response.pid = getpid()
    response.startedAt = Int64(startedAt.timeIntervalSince1970)
    let pinned = try PinnedState(directory: installation.pinDirectory)
    let (denials, names) = (try pinned.denials(), try await publicNames())
    let figures = await relay.statistics()
    for deployment in try await registry.deployments() {
      response.deployments.append(
        try await status(of: deployment, denials[deployment.id] ?? [], names, figures))
    }
    if let settings = configuration.frontDoor, let report = frontDoor?.report {
      response.frontDoor.domain = settings.domain.rawValue
      response.frontDoor.pid = report.processID ?? 0
      response.frontDoor.problem = report.problem ?? ""
    }
    if let relay = relay.report { response.relay = relay }
    if let cluster = clusterStatus(figures, await registry.numbersByRunner()) {
      response.cluster = cluster
    }
    return response
  }

  /// The same of one deployment; throws `RegistryError` where there is no such one.
  func status(of name: DeploymentName) async throws -> Istbpf_Control_V1_DeploymentStatus {
    let deployment = try await registry.deployment(named: name)
    let pinned = try PinnedState(directory: installation.pinDirectory)
    return try await status(
      of: deployment, try pinned.denials()[deployment.id] ?? [], try await publicNames(),
      await relay.statistics())
  }

  private func status(
    of deployment: Deployment, _ denials: [PinnedState.Denials], _ names: PublicNames?,
    _ figures: Istbpf_Relay_V1_Statistics?
  ) async throws -> Istbpf_Control_V1_DeploymentStatus {
    var status = Istbpf_Control_V1_DeploymentStatus()
    status.name = deployment.name.rawValue
    status.id = UInt32(deployment.id)
    let fabric = fabric(of: deployment.name)
    if fabric.exists { status.fabric = fabric.name }
    for service in try await registry.services(of: deployment.name) {
      var message = Istbpf_Control_V1_ServiceStatus(service, plan: plan)
      message.names = nameStatus(of: service)
      if let names, let settings = configuration.frontDoor {
        message.add(names, of: service, settings)
      }
      message.denials = denials.filter { $0.service == service.number }
        .sorted { $0.reason.rawValue < $1.reason.rawValue }
        .map { denial in
          Istbpf_Control_V1_Denial.with {
            $0.reason = denial.reason.identifier
            $0.count = denial.count
          }
        }
      status.services.append(message)
    }
    let own = instances.filter { $0.instance.deployment == deployment.name }
      .sorted { $0.identity.address < $1.identity.address }
    let relayed = Dictionary(
      (figures?.outside ?? []).filter { $0.deployment == UInt32(deployment.id) }
        .map { (IPv4Address($0.instance), $0.connections) }, uniquingKeysWith: +)
    status.instances = try own.map {
      try self.status(of: $0, relayed: relayed[$0.identity.address] ?? 0)
    }
    return status
  }

  private func status(
    of running: RunningInstance, relayed: UInt32
  ) throws -> Istbpf_Control_V1_InstanceStatus {
    var status = Istbpf_Control_V1_InstanceStatus()
    status.instance = running.instance.id
    status.service = running.instance.service.rawValue
    status.address = running.identity.address.description
    status.runner = running.instance.runner
    status.cgroupPath = running.cgroup.path
    status.container = running.record?.container ?? ""
    status.engine = running.record?.engine ?? ""
    // None where it has just ended; and what cannot be asked is shown as missing, not as in effect.
    status.pids = (try? running.cgroup.processes()) ?? []
    if let descriptor = try? running.cgroup.open() {
      status.missingHooks = try PinnedState.missingHooks(
        cgroup: descriptor.rawValue, path: running.cgroup.path)
    } else {
      status.missingHooks = PinnedState.hookNames
    }
    status.hooks = PinnedState.hookNames.filter { !status.missingHooks.contains($0) }
    // Without its fabric it is shown as not attached.
    if let namespace = try? fabric(of: running.instance.deployment).open() {
      status.switchAttached = try namespace.perform {
        PinnedState.isSwitchAttached(to: running.link.ifindex)
      }
    }
    status.wayOut = try wayOut(of: running)?.rawValue ?? ""
    status.relayedConnections = relayed
    return status
  }
}

extension Istbpf_Control_V1_ServiceStatus {
  init(_ service: Service, plan: AddressPlan) {
    self.init()
    name = service.name.rawValue
    number = UInt32(service.number)
    address = plan.serviceAddress(service.number).description
    port = UInt32(service.port.rawValue)
    `private` = service.isPrivate
    egress = service.egress.map(\.description)
    timeoutSeconds =
      service.isPrivate ? 0 : UInt32((service.timeout ?? .standard).seconds)
  }
}
