import CDataplaneABI
import Model

/// What the numbers in the maps are called.
public struct Names: Sendable {
  private let plan: AddressPlan
  private let deployments: [UInt32: String]
  private let services: [UInt64: String]

  /// The names that are pinned now.
  public init(_ state: PinnedState) throws(DataplaneError) { try self.init(state.maps) }

  init(_ maps: MapSet) throws(DataplaneError) {
    plan = try maps.plan() ?? .standard
    deployments = Dictionary(
      try maps.deployments.entries().map { ($0.key, string(of: $0.value.name)) },
      uniquingKeysWith: { first, _ in first })
    services = Dictionary(
      try maps.services.entries().map {
        (Self.key($0.key.deployment, $0.key.service), string(of: $0.value.name))
      },
      uniquingKeysWith: { first, _ in first })
  }

  func deployment(_ id: UInt32) -> String { deployments[id] ?? (id == 0 ? "-" : "#\(id)") }

  func service(_ deployment: UInt32, number: UInt32) -> String {
    services[Self.key(deployment, number)] ?? (number == 0 ? "-" : "#\(number)")
  }

  func service(_ deployment: UInt32, at address: UInt32) -> String {
    service(deployment, number: UInt32(plan.place(of: IPv4Address(address))?.service ?? 0))
  }

  func address(service: UInt32, octet: UInt32) -> String {
    "\(plan.instanceAddress(ServiceNumber(clamping: service), InstanceNumber(clamping: octet)))"
  }

  /// The addresses of the instances whose bits are set in a C array of 64-bit words.
  func addresses<Words>(service: UInt32, instances: Words) -> String {
    let octets = withUnsafeBytes(of: instances) { bytes in
      let words = bytes.bindMemory(to: UInt64.self)
      return (0..<UInt32(words.count * 64)).filter {
        words[Int($0 / 64)] >> UInt64($0 % 64) & 1 == 1
      }
    }
    return octets.isEmpty
      ? "-" : octets.map { address(service: service, octet: $0) }.joined(separator: " ")
  }

  /// The instance whose links have the number `ifindex`: what `Identity.ifindex` computes, backwards.
  func identity(ifindex: UInt32) -> Identity {
    Identity(
      deployment: DeploymentID(truncatingIfNeeded: ifindex >> UInt32(IST_OFFSET_BITS)),
      address: IPv4Address(plan.base.rawValue + ifindex & Identity.offsetMask))
  }

  /// What people call an address of a deployment: `shop/app.2`, or `shop/app` for the service address;
  /// nil where it is no declared service's.
  public func endpoint(_ address: IPv4Address, deployment: DeploymentID) -> String? {
    guard let place = plan.place(of: address), let name = deployments[UInt32(deployment)],
      let service = services[Self.key(UInt32(deployment), UInt32(place.service))]
    else { return nil }
    return place.octet == UInt8(IST_SERVICE_OCTET)
      ? "\(name)/\(service)" : "\(name)/\(service).\(place.octet)"
  }

  private static func key(_ deployment: UInt32, _ service: UInt32) -> UInt64 {
    UInt64(deployment) << 32 | UInt64(service)
  }
}
