import CDataplaneABI
import Glibc
import Model

/// The ways out of the deployment that the programs allow services.
extension Dataplane {
  /// The rules in effect for each service of a deployment (by id) that has any.
  public func egress(
    ofDeployment deployment: UInt16
  ) throws(DataplaneError) -> [ServiceNumber: Set<EgressRule>] {
    var rules: [ServiceNumber: Set<EgressRule>] = [:]
    for key in try maps.egress.keys() where key.owner.deployment == UInt32(deployment) {
      rules[ServiceNumber(key.owner.service), default: []].insert(EgressRule(key))
    }
    return rules
  }

  /// Lets a service connect where `rules` say, from now on; rules that it has keep their counts.
  public func allow(
    _ rules: some Sequence<EgressRule>, service: ServiceNumber, deployment: UInt16
  ) throws(DataplaneError) {
    for rule in rules {
      let key = ist_egress_key(rule, service: service, deployment: deployment)
      if try maps.egress.value(at: key) == nil { try maps.egress.set(0, at: key) }
    }
  }

  /// Lets a service no longer connect where `rules` say. Connections that they let out are stopped at
  /// once, and end when they are cut.
  public func revoke(
    _ rules: some Sequence<EgressRule>, service: ServiceNumber, deployment: UInt16
  ) throws(DataplaneError) {
    for rule in rules {
      try maps.egress.remove(ist_egress_key(rule, service: service, deployment: deployment))
    }
  }

  /// The same for all rules of a deployment (by id) that is no more.
  public func withdrawEgress(ofDeployment deployment: UInt16) throws(DataplaneError) {
    for (service, rules) in try egress(ofDeployment: deployment) {
      try revoke(rules, service: service, deployment: deployment)
    }
  }
}

extension ist_egress_key {
  init(_ rule: EgressRule, service: ServiceNumber, deployment: UInt16) {
    self.init(
      prefix_length: UInt32(IST_EGRESS_FIXED_BITS) + UInt32(rule.prefixLength),
      deployment: UInt32(deployment).bigEndian, service: service.bigEndian,
      port: (rule.port?.rawValue ?? 0).bigEndian, address: rule.network.networkOrder)
  }

  /// Whose rule it is, in host byte order.
  var owner: (deployment: UInt32, service: UInt32) {
    (UInt32(bigEndian: deployment), UInt32(UInt16(bigEndian: service)))
  }
}

extension EgressRule {
  /// The rule of a key.
  init(_ key: ist_egress_key) {
    self.init(
      network: IPv4Address(networkOrder: key.address),
      prefixLength: UInt8(
        truncatingIfNeeded: key.prefix_length - UInt32(IST_EGRESS_FIXED_BITS)),
      port: try? PortNumber(Int(UInt16(bigEndian: key.port))))
  }
}
