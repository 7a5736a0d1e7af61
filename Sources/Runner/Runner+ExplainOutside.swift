import ControlAPI
import Dataplane
import Fabric
import LinuxSystem
import Model
import RelayControl
import NameResolution

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
    return denied + advice(caller, address, port)
  }

  /// What a service's names have to do with an address that is denied, and what to write.
  private func advice(_ caller: Service, _ address: IPv4Address, _ port: PortNumber) -> String {
    var target = "\(address)"
    var names = ""
    for name in Set(caller.egress.compactMap(\.name)).sorted() {
      guard let record = outside.follower.record(of: name) else { continue }
      if let reason = record.refused[address] {
        return ". \(name) has this address, which is not opened for a name: \(reason)"
      }
      if outside.open(name).contains(address) {
        (target, names) = (name.rawValue, ", though \(name) has this address")
      }
    }
    if port.rawValue == 53 {
      names +=
        ". Programs need no DNS: a name that a rule has, \"NAME:443\", is in their /etc/hosts"
    }
    return names + ". To allow it, add \"\(target):\(port)\" to its deployment.egress, and deploy"
  }

  /// By which rules egress allows a connect, as the end of a sentence's part; empty where none is declared.
  func whyAllowed(_ caller: Service, _ address: IPv4Address, _ port: PortNumber) -> String {
    let now = bootTimeNow()
    var reasons: [String] = []
    for rule in caller.egress where rule.port == nil || rule.port == port {
      switch rule.destination {
      case .network(let network):
        if network.contains(address) { reasons.append("by the rule \(rule)") }
      case .name(let name):
        guard let record = outside.follower.record(of: name), outside.open(name).contains(address)
        else { continue }
        func seconds(_ time: BootTime) -> String { "\(Int(abs(time - now).rounded())) s" }
        if let end = record.former[address] {
          reasons.append(
            "by the rule \(rule), whose name had this address, which is kept for \(seconds(end)) more"
          )
        } else {
          let age = record.answered.map { ", answered \(seconds($0)) ago" } ?? ""
          let left = record.validUntil > now ? ", holds for \(seconds(record.validUntil))" : ""
          reasons.append("by the rule \(rule), whose name has this address\(age)\(left)")
        }
      }
    }
    return reasons.isEmpty ? "" : ", \(reasons.joined(separator: ", and "))"
  }

  /// What becomes of a connect that egress allows.
  func describeWayOut(
    _ caller: Service, _ address: IPv4Address, _ port: PortNumber,
    from instances: [RunningInstance], in response: inout Istbpf_Control_V1_ExplainResponse
  ) throws {
    let ways = Set(try instances.compactMap { try wayOut(of: $0, to: address) })
    let allowed = "egress allows it\(whyAllowed(caller, address, port))"
    let unknown = "what answers there is not IST's to know"
    response.outcome = "unknown"
    switch ways.count == 1 ? ways.first : nil {
    case .relay:
      response.decidedBy = "relay"
      if let objection = outside.objections.objection(toConnectingTo: address) {
        response.outcome = "EHOSTUNREACH"
        response.reason = Reason.egressRefused.identifier
        response.why =
          "\(allowed), but istbpfd, by whose relay it leaves, connects nobody there: \(objection)"
      } else if let source = try RoutedAddress.source(to: address) {
        response.why = """
          \(allowed): the connection leaves through istbpfd's relay, since the instance has no other interface, from \
          this machine's address \(source), and \(unknown)
          """
      } else {
        response.outcome = "ENETUNREACH"
        response.why =
          "\(allowed), but this machine, from which istbpfd's relay connects, has no route to it"
      }
    case WayOut.none?:
      response.outcome = "ENETUNREACH"
      response.decidedBy = "route"
      response.why = "\(allowed), but the container's other interfaces have no route to it"
    case .interfaces:
      response.why =
        "\(allowed): the connection leaves through the container's other interfaces, and \(unknown)"
    case nil:
      response.why = """
        \(allowed): the connection leaves through the container's other interfaces, or where it has none through \
        istbpfd's relay, and \(unknown)
        """
    }
  }

  /// What the kernel's map has that allows a connect.
  func egressEntries(
    _ caller: Service, _ deployment: Deployment, _ address: IPv4Address, _ port: PortNumber
  ) throws -> [String] {
    try (dataplane.egress(ofDeployment: deployment.id)[caller.number] ?? [])
      .filter { $0.allows(address, port: port.rawValue) }.map { "egress \(caller.id) \($0)" }
      .sorted()
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
