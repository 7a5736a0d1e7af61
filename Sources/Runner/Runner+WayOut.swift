import Dataplane
import Fabric
import LinuxSystem
import Model

/// How an instance reaches what egress rules allow.
enum WayOut: String {
  /// The container's own, beside ist0 and lo.
  case interfaces
  /// ist0, behind which istbpfd connects for it.
  case relay
  /// There is no route to it.
  case none
}

extension Runner {
  /// How an instance reaches an address outside; nil where that cannot be told, as it has ended.
  func wayOut(of instance: RunningInstance, to address: IPv4Address) throws -> WayOut? {
    guard let namespace = namespaces(of: instance).first else { return nil }
    switch try namespace.perform({ try RoutedAddress.source(to: address) }) {
    case nil: return WayOut.none
    case instance.identity.address: return .relay
    default: return .interfaces
    }
  }

  /// How an instance reaches what its service's rules allow; nil where they allow nothing.
  func wayOut(of instance: RunningInstance) throws -> WayOut? {
    let place = ServicePlace(instance.instance)
    let allowed = egress.opened[place]?.map(\.network).filter { $0.prefixLength > 0 } ?? []
    if let address = allowed.map(\.first).min() { return try wayOut(of: instance, to: address) }
    // A rule for everything: any address, which nobody has (RFC 5737).
    guard egress.opened[place]?.isEmpty == false else { return nil }
    return try wayOut(of: instance, to: IPv4Address(0xc000_0201))
  }
}
