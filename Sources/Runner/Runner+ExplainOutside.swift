import Dataplane
import LinuxSystem
import Model

/// What `explain` says of addresses outside the deployment.
extension Runner {
  /// Why a connect to an address outside is denied, and what to write so that it is not.
  func whyForeign(
    _ caller: Service, _ address: IPv4Address, _ port: PortNumber, from instances: [RunningInstance]
  ) -> String {
    let rules = caller.egress.map(\.description).joined(separator: ", ")
    let place = place(of: address, from: instances)
    var whose = "\(Reason.foreignAddress.explanation)\(place.map { ", \($0.description)" } ?? "")"
    if case .host = place, let published = publication(at: address, port) {
      whose += ", \(why(published, from: caller))"
      if published.instance != nil { return whose }
    }
    let denied =
      "\(whose), and no egress "
      + "rule of \(caller.id) allows it: it has \(rules.isEmpty ? "none" : rules)"
    if case .own(_, let instance) = place {
      return denied + ". It has nobody to let in there: \(instance) is its own address"
    }
    return denied + ". To allow it, add \"\(address):\(port)\" to its deployment.egress, and deploy"
  }

  /// Whose an address outside the deployment is, as far as this machine tells.
  private enum Place: CustomStringConvertible {
    /// Of the instance itself, on another interface than ist0; and its instance address.
    case own(InterfaceAddress, IPv4Address)
    /// Of the network of another interface of the instance.
    case neighbour(InterfaceAddress)
    /// Of this machine.
    case host(InterfaceAddress)

    var description: String {
      switch self {
      case .own(let own, _): "the instance's own on \(own.interface)"
      case .neighbour(let own): "a neighbour's on \(own.interface)"
      case .host(let own): "this machine's own on \(own.interface)"
      }
    }
  }

  private func place(of address: IPv4Address, from instances: [RunningInstance]) -> Place? {
    do {
      if let host = try InterfaceAddress.all().first(where: { $0.address == address.rawValue }) {
        return .host(host)
      }
      for instance in instances {
        for namespace in namespaces(of: instance) {
          let others = try namespace.perform { try InterfaceAddress.all() }
            .filter { $0.interface != "lo" && $0.address != instance.identity.address.rawValue }
          if let own = others.first(where: { $0.address == address.rawValue }) {
            return .own(own, instance.identity.address)
          }
          if let neighbour = others.first(where: { $0.isNeighbour(address.rawValue) }) {
            return .neighbour(neighbour)
          }
        }
      }
    } catch {
      // The answer lacks whose it is, and is right without.
      logger.error("cannot tell whose \(address) is: \(error)")
    }
    return nil
  }
}
