import Fabric
import FrontDoor
import Model
import Registry
import Relay

/// Where the requests of one public service go.
struct PublicRoute: Sendable {
  /// An instance, and the way to it.
  enum Way: Sendable {
    case here(IPv4Address)
    case there(IPv4Address, TunnelPeer)
  }

  let service: Service
  let label: String
  let socketPath: String
  let ways: [Way]

  /// The service as HAProxy needs to know it.
  var publicService: PublicService {
    PublicService(
      label: label, deployment: service.deployment.rawValue, hostName: service.name.hostName,
      socketPath: socketPath, timeout: service.timeout ?? .standard)
  }

  /// The ways in the order to be tried: this runner's instances first, each kind in random order.
  var attempts: [Way] {
    let shuffled = ways.shuffled()
    return shuffled.filter(\.isHere) + shuffled.filter { !$0.isHere }
  }

  /// The routes of every service that has a public name.
  static func all(
    in view: ClusterView, of configuration: RunnerConfiguration, paths: FrontDoorPaths
  ) -> [PublicRoute] {
    let plan = configuration.plan
    var peers: [String: TunnelPeer] = [:]
    if let cluster = configuration.cluster?.identity.cluster {
      for runner in view.runners {
        guard let address = TunnelAddress(runner.address),
          let identifier = RunnerIdentifier(cluster: cluster, name: runner.name)
        else { continue }
        peers[runner.name] = TunnelPeer(runner: identifier, address: address)
      }
    }
    let instances = Dictionary(grouping: view.instances) { instance in
      [instance.deployment.rawValue, "\(instance.serviceNumber)"]
    }
    let ids = Dictionary(uniqueKeysWithValues: view.deployments.map { ($0.name, $0.id) })
    return PublicNames(among: view.services).all.compactMap { label, service in
      guard let id = ids[service.deployment] else { return nil }
      let own = instances[[service.deployment.rawValue, "\(service.number)"]] ?? []
      let ways: [Way] = own.compactMap { instance in
        let address = plan.instanceAddress(instance.serviceNumber, instance.number)
        // A runner that is alone may have had another name before.
        if configuration.cluster == nil || instance.runner == configuration.runnerName {
          return .here(address)
        }
        return peers[instance.runner].map { .there(address, $0) }
      }
      return PublicRoute(
        service: service, label: label,
        socketPath: "\(paths.services)/\(id).\(service.number).sock", ways: ways)
    }
  }
}

extension PublicRoute.Way {
  fileprivate var isHere: Bool {
    if case .here = self { true } else { false }
  }
}
