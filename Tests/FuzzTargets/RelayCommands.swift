import Model
import RelayControl
import SwiftProtobuf

/// What comes on the socket of istbpf-relay.
extension FuzzTarget {
  static let relayCommand = FuzzTarget("relay-command", seeds: relayCommands) { bytes in
    guard let message = try? Istbpf_Relay_V1_Command(serializedBytes: bytes),
      case .deployment(let deployment)? = message.command,
      let entry = try? InstanceDirectory.Entry(deployment)
    else { return }
    for network in deployment.services.flatMap(\.egress) {
      guard let allowed = try? AllowedNetwork(network) else { continue }
      precondition(allowed.network.prefixLength <= 32)
    }
    let directory = InstanceDirectory(plan: .standard, cluster: "c", own: "r1")
    directory.update(entry)
    precondition(directory.deployments == [entry.id])
    for instance in entry.instances {
      precondition(directory.serves(instance.runner, entry.name))
      _ = directory.candidates(for: instance.address, in: entry.id)
    }
    for service in entry.services {
      _ = directory.candidates(
        for: AddressPlan.standard.serviceAddress(service.number), in: entry.id)
      _ = directory.destinations(to: service.number, of: entry.name)
    }
    directory.remove(entry.id)
    precondition(directory.deployments.isEmpty)
  }

  private static var relayCommands: [[UInt8]] {
    let deployment = Istbpf_Relay_V1_Deployment.with {
      ($0.id, $0.name, $0.fabric) = (1, "shop", 4_026_531_840)
      $0.services = [
        .with {
          ($0.number, $0.port) = (1, 8080)
          $0.egress = [.with { ($0.address, $0.prefixLength, $0.port) = (0xcb00_7100, 24, 443) }]
        }
      ]
      $0.instances = [.with { ($0.address, $0.runner) = (0xc612_0102, "r2") }]
    }
    let commands: [Istbpf_Relay_V1_Command.OneOf_Command] = [
      .greeting(.with { $0.protocol = relayProtocol }), .deployment(deployment),
      .withdrawn(.with { $0.id = 1 }), .complete(.init()),
    ]
    return commands.compactMap { command in
      try? Istbpf_Relay_V1_Command.with { ($0.number, $0.command) = (7, command) }.serializedBytes()
    }
  }
}
