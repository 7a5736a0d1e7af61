import Model

/// A message of istbpfd that says what cannot be.
package struct ImpossibleMessage: Error, CustomStringConvertible {
  package let description: String

  package init(_ what: String) { description = "istbpfd says what cannot be: \(what)" }
}

extension InstanceDirectory.Entry {
  /// The deployment of a message. Throws `ImpossibleMessage`, `InvalidName` or `InvalidPort`.
  package init(_ message: Istbpf_Relay_V1_Deployment) throws {
    guard let id = DeploymentID(exactly: message.id), id > 0 else {
      throw ImpossibleMessage("a deployment with the id \(message.id)")
    }
    self.init(id: id, name: try DeploymentName(message.name))
    services = try message.services.map { service in
      InstanceDirectory.Entry.Service(
        number: try ServiceNumber(relayed: service.number),
        port: try PortNumber(Int(service.port)), isPrivate: service.private)
    }
    instances = message.instances.map {
      InstanceDirectory.Entry.Instance(address: IPv4Address($0.address), runner: $0.runner)
    }
  }
}

extension ServiceNumber {
  /// The number of a message. Throws `ImpossibleMessage`.
  package init(relayed number: UInt32) throws {
    guard let own = ServiceNumber(exactly: number), AddressPlan.serviceNumbers.contains(own) else {
      throw ImpossibleMessage("a service with the number \(number)")
    }
    self = own
  }
}

extension AllowedNetwork {
  /// The network of a message. Throws `ImpossibleMessage` or `InvalidPort`.
  package init(_ message: Istbpf_Relay_V1_Deployment.Network) throws {
    guard message.prefixLength <= 32 else {
      throw ImpossibleMessage("a network with a prefix of \(message.prefixLength)")
    }
    self.init(
      IPv4Network(IPv4Address(message.address), UInt8(message.prefixLength)),
      port: message.port == 0 ? nil : try PortNumber(Int(message.port)))
  }
}
