import Fabric
import Model
import NameResolution

extension AddressObjections {
  /// Why nobody is connected to an address by the relay, whatever a rule says; nil where it may be. To be asked by a
  /// thread in the host's network namespace.
  package func objection(toConnectingTo address: IPv4Address) -> String? {
    if let objection = objection(to: address) { return objection }
    // Also an address that no interface has, and that the host takes for its own by a route.
    do {
      return try RoutedAddress.source(to: address) == address ? "it is this runner's own" : nil
    } catch { return "\(error)" }
  }
}
