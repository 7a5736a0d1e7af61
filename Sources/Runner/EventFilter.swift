import Dataplane
import Model

/// Which events an observer wants.
struct EventFilter: Sendable {
  /// A service of a deployment.
  struct ServiceKey: Hashable, Sendable {
    let deployment: DeploymentID
    let service: ServiceNumber
  }

  let plan: AddressPlan
  /// The id of the only deployment; nil for all.
  var deployment: DeploymentID?
  /// The only services, at either end; nil for all.
  var services: Set<ServiceKey>?
  var denied = true
  var opened = true
  var closed = true

  var wantsConnections: Bool { opened || closed }

  func admits(_ told: ObservedEvent) -> Bool {
    switch told {
    case .event(let event): admits(event.kind) && admits(event.instance, peer: event.peer.ipv4)
    case .untold(let instance, let denials, _):
      (denials > 0 ? denied : wantsConnections) && admits(instance, peer: nil)
    }
  }

  private func admits(_ kind: Event.Kind) -> Bool {
    switch kind {
    case .denied: denied
    case .opened: opened
    case .closed: closed
    }
  }

  private func admits(_ instance: Identity?, peer: IPv4Address?) -> Bool {
    guard let instance else { return deployment == nil && services == nil }
    if let deployment, deployment != instance.deployment { return false }
    guard let services else { return true }
    return [instance.address, peer].contains { address in
      guard let place = address.flatMap(plan.place) else { return false }
      return services.contains(
        ServiceKey(deployment: instance.deployment, service: place.service))
    }
  }
}
