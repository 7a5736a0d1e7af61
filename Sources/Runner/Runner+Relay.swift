import Dataplane
import Fabric
import LinuxSystem
import Model
import NameResolution
import Registry
import Relay
import RelayControl

/// What istbpf-relay is told.
extension Runner {
  /// Tells istbpf-relay what there is of a deployment, where it carries anything for it: to other runners, to outside, or
  /// from the front door. Throws what the relay says against it, and `SystemError`.
  func tellRelay(_ deployment: Deployment) throws {
    let services = egress.declared[deployment.name]?.services ?? []
    let hasRules = services.contains { !$0.egress.isEmpty }
    guard
      configuration.cluster != nil || configuration.frontDoor != nil || hasRules
        || relay.knows(deployment.id)
    else { return }
    var message = Istbpf_Relay_V1_Deployment()
    (message.id, message.name) = (UInt32(deployment.id), deployment.name.rawValue)
    message.fabric = try relayedFabric(of: deployment, hasRules: hasRules)
    message.services = services.map { service in
      .with {
        $0.number = UInt32(service.number)
        $0.port = UInt32(service.port.rawValue)
        $0.private = service.isPrivate
        $0.egress = (egress.relayed[ServicePlace(service)] ?? [])
          .sorted {
            ($0.network.first, $0.network.prefixLength) < (
              $1.network.first, $1.network.prefixLength
            )
          }
          .map(Istbpf_Relay_V1_Deployment.Network.init)
      }
    }
    message.instances = instances(of: deployment.name).map { instance in
      .with {
        $0.address = plan.instanceAddress(instance.serviceNumber, instance.number).rawValue
        $0.runner = instance.runner
      }
    }
    try relay.tell(message)
  }

  /// All instances of a deployment that are known, in a fixed order.
  private func instances(of deployment: DeploymentName) -> [Instance] {
    guard configuration.cluster == nil else { return viewed[deployment] ?? [] }
    return instances.identified.map(\.instance)
      .filter { $0.deployment == deployment }
      .sorted { ($0.serviceNumber, $0.number) < ($1.serviceNumber, $1.number) }
  }

  /// The namespace of a deployment's fabric, by its inode, with the link of held SYNs in it; 0 where there is none, or
  /// nobody connects to what is not there.
  private func relayedFabric(of deployment: Deployment, hasRules: Bool) throws -> UInt64 {
    guard configuration.cluster != nil || hasRules else { return 0 }
    let fabric = fabric(of: deployment.name)
    guard fabric.exists else { return 0 }
    let inode = try fabric.open().identity.inode
    if replayLinks[deployment.id] != inode {
      try ReplayLink.make(
        in: fabric, ifindex: Dataplane.replayIfindex(deployment: deployment.id, plan: plan)
      ) { try dataplane.attachReplay(to: $0) }
      replayLinks[deployment.id] = inode
    }
    return inode
  }

  /// Tells istbpf-relay where runners take tunnels, and which are being emptied.
  func tellRelay(_ runners: [ClusterRunner]) throws {
    try relay.tell(
      .with {
        $0.runners = runners.map { runner in
          .with {
            ($0.name, $0.address, $0.drained) = (runner.name, runner.address, runner.isDrained)
          }
        }
      })
  }
}

extension Istbpf_Relay_V1_Deployment.Network {
  init(_ network: AllowedNetwork) {
    self.init()
    address = network.network.first.rawValue
    prefixLength = UInt32(network.network.prefixLength)
    port = UInt32(network.port?.rawValue ?? 0)
  }
}

extension InstanceDirectory {
  /// Takes over what is known of the cluster now.
  func update(_ view: ClusterView, plan: AddressPlan) {
    let services = Dictionary(grouping: view.services, by: \.deployment)
    let instances = Dictionary(grouping: view.instances, by: \.deployment)
    for deployment in view.deployments {
      var entry = Entry(id: deployment.id, name: deployment.name)
      entry.services = (services[deployment.name] ?? []).map {
        Entry.Service(number: $0.number, port: $0.port, isPrivate: $0.isPrivate)
      }
      entry.instances = (instances[deployment.name] ?? []).map {
        Entry.Instance(
          address: plan.instanceAddress($0.serviceNumber, $0.number), runner: $0.runner)
      }
      update(entry)
    }
    for id in deployments.subtracting(view.deployments.map(\.id)) { remove(id) }
    update(
      runners: Dictionary(
        view.runners.map { ($0.name, $0.address) }, uniquingKeysWith: { first, _ in first }),
      drained: view.drainedRunners)
  }
}

extension AddressObjections {
  /// Takes over where runners take their tunnels.
  func update(_ runners: [ClusterRunner]) {
    update(
      addresses: Dictionary(
        runners.map { ($0.name, $0.address) }, uniquingKeysWith: { first, _ in first }))
  }
}
