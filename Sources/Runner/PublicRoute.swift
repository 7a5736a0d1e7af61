import FrontDoor
import Model
import Registry
import RelayControl

/// A service that the front door serves.
struct PublicRoute: Sendable {
  let service: Service
  let label: String
  let socketPath: String

  /// The service as HAProxy needs to know it.
  var publicService: PublicService {
    PublicService(
      label: label, deployment: service.deployment.rawValue, hostName: service.name.hostName,
      socketPath: socketPath, timeout: service.timeout ?? .standard)
  }

  /// The service as istbpf-relay needs to know it.
  var relayed: Istbpf_Relay_V1_PublicService {
    .with {
      $0.socket = socketPath
      $0.title = publicService.name
      $0.deployment = service.deployment.rawValue
      $0.number = UInt32(service.number)
      $0.port = UInt32(service.port.rawValue)
    }
  }

  /// The routes of every service that has a public name.
  static func all(in view: ClusterView, paths: FrontDoorPaths) -> [PublicRoute] {
    let ids = Dictionary(uniqueKeysWithValues: view.deployments.map { ($0.name, $0.id) })
    return PublicNames(among: view.services).all.compactMap { label, service in
      guard let id = ids[service.deployment] else { return nil }
      return PublicRoute(
        service: service, label: label,
        socketPath: "\(paths.services)/\(id).\(service.number).sock")
    }
  }
}
