import CDataplaneABI
import Glibc
import Model

/// The ways out of the deployment that the programs allow services.
extension Dataplane {
  /// Where the programs let each service of a deployment (by id) connect that may connect anywhere.
  public func egress(
    ofDeployment deployment: DeploymentID
  ) throws(DataplaneError) -> [ServiceNumber: Set<AllowedNetwork>] {
    var allowed: [ServiceNumber: Set<AllowedNetwork>] = [:]
    for key in try maps.egress.keys() where key.owner.deployment == UInt32(deployment) {
      allowed[ServiceNumber(key.owner.service), default: []].insert(AllowedNetwork(key))
    }
    return allowed
  }

  /// Lets a service connect to `networks`, from now on; those that it may connect to keep their counts.
  public func allow(
    _ networks: some Sequence<AllowedNetwork>, service: ServiceNumber, deployment: DeploymentID
  ) throws(DataplaneError) {
    let networks = Set(networks)
    guard !networks.isEmpty else { return }
    // Not by looking each up: the trie answers with the rule of a wider network.
    let known = try egress(ofDeployment: deployment)[service] ?? []
    for network in networks.subtracting(known) {
      try maps.egress.set(
        0, at: ist_egress_key(network, service: service, deployment: deployment))
    }
  }

  /// Lets a service no longer connect to `networks`. Connections that they let out are stopped at once,
  /// and end when they are cut.
  public func revoke(
    _ networks: some Sequence<AllowedNetwork>, service: ServiceNumber, deployment: DeploymentID
  ) throws(DataplaneError) {
    for network in networks {
      try maps.egress.remove(ist_egress_key(network, service: service, deployment: deployment))
    }
  }

  /// The same for all that a deployment (by id) has, which is no more.
  public func withdrawEgress(ofDeployment deployment: DeploymentID) throws(DataplaneError) {
    for (service, networks) in try egress(ofDeployment: deployment) {
      try revoke(networks, service: service, deployment: deployment)
    }
  }
}

extension ist_egress_key {
  init(_ allowed: AllowedNetwork, service: ServiceNumber, deployment: DeploymentID) {
    self.init(
      prefix_length: UInt32(IST_EGRESS_FIXED_BITS) + UInt32(allowed.network.prefixLength),
      deployment: UInt32(deployment).bigEndian, service: service.bigEndian,
      port: (allowed.port?.rawValue ?? 0).bigEndian, address: allowed.network.first.networkOrder)
  }

  /// Whose rule it is, in host byte order.
  var owner: (deployment: UInt32, service: UInt32) {
    (UInt32(bigEndian: deployment), UInt32(UInt16(bigEndian: service)))
  }
}

extension AllowedNetwork {
  /// What a key allows.
  init(_ key: ist_egress_key) {
    let bits = key.prefix_length - UInt32(IST_EGRESS_FIXED_BITS)
    self.init(
      IPv4Network(IPv4Address(networkOrder: key.address), UInt8(truncatingIfNeeded: bits)),
      port: try? PortNumber(Int(UInt16(bigEndian: key.port))))
  }
}
