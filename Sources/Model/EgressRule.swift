/// One way out that a service is allowed: TCP to a network's addresses, or to those that a name has, at one
/// port or at all.
public struct EgressRule: Hashable, Sendable {
  /// Where a rule leads.
  public enum Destination: Hashable, Sendable {
    /// The addresses of a network.
    case network(IPv4Network)
    /// The addresses that a DNS name has, now and whenever it is looked up anew.
    case name(HostName)
  }

  /// Where it leads.
  public let destination: Destination

  /// The port; nil for every port.
  public let port: PortNumber?

  /// The rule from its parts.
  public init(_ destination: Destination, port: PortNumber?) {
    self.destination = destination
    self.port = port
  }

  /// The rule that `text` is: `api.example.com:443`, `10.1.0.0/16:443`, `192.0.2.7:5432`, or `0.0.0.0/0:*`
  /// for every port.
  ///
  /// - Throws: `InvalidEgressRule` with what is wrong.
  public init(_ text: String) throws(InvalidEgressRule) {
    func refuse(_ reason: String) -> InvalidEgressRule {
      InvalidEgressRule(text: text, reason: reason)
    }
    guard !text.contains("://") else {
      throw refuse("it is a URL; write the host and the port alone, \"api.example.com:443\"")
    }
    guard let colon = text.lastIndex(of: ":") else {
      throw refuse("a port is missing; write \":*\" for every port")
    }
    let portText = text[text.index(after: colon)...]
    do { self.port = portText == "*" ? nil : try PortNumber(portText) } catch {
      throw refuse("\(error)")
    }
    let parts = text[..<colon].split(separator: "/", omittingEmptySubsequences: false)
    let host = String(parts.first ?? "")
    guard !host.isEmpty else { throw refuse("it names no host and no network") }
    guard !host.contains(":"), !host.contains("[") else {
      throw refuse("IPv6 is not taken: deployments have IPv4 alone")
    }
    guard let address = IPv4Address(host) else {
      do { self.destination = .name(try HostName(host)) } catch { throw refuse(error.reason) }
      guard parts.count == 1 else { throw refuse("a name has neither a prefix length nor a path") }
      return
    }
    var length: UInt8 = 32
    if parts.count > 1 {
      guard parts.count == 2, let given = UInt8(parts[1]), "\(given)" == parts[1], given <= 32
      else {
        throw refuse("the prefix length is no number from 0 to 32")
      }
      length = given
    }
    let network = IPv4Network(address, length)
    guard network.first == address else {
      throw refuse("\(address) is not the first address of a /\(length); \(network) may be meant")
    }
    self.destination = .network(network)
  }

  /// What it allows by itself; nil for a name, which allows what addresses it has.
  public var allowedNetwork: AllowedNetwork? {
    guard case .network(let network) = destination else { return nil }
    return AllowedNetwork(network, port: port)
  }

  /// The name; nil for a network.
  public var name: HostName? {
    guard case .name(let name) = destination else { return nil }
    return name
  }
}

extension EgressRule {
  /// How many rules a service may have: `IST_EGRESS_PER_SERVICE`, so that none fills the kernel's map.
  public static let mostPerService = 256

  /// How many names the rules of a service may have: each is looked up again and again.
  public static let mostNamesPerService = 32

  /// Checks what a service declares against the deployment's own addresses.
  ///
  /// A rule for nothing but these could never open anything: they are decided on before egress is
  /// asked for. That is also why a wider one, such as `0.0.0.0/0:*`, is taken and opens the rest.
  ///
  /// - Throws: `InvalidEgressRule`.
  public static func check(
    _ rules: [EgressRule], against plan: AddressPlan
  ) throws(InvalidEgressRule) {
    guard rules.count <= mostPerService else {
      throw InvalidEgressRule(
        text: rules[mostPerService].description,
        reason: "it is one too many: a service may have \(mostPerService)")
    }
    var names: Set<HostName> = []
    for rule in rules {
      switch rule.destination {
      case .name(let name):
        names.insert(name)
        guard names.count <= mostNamesPerService else {
          throw InvalidEgressRule(
            text: rule.description,
            reason: "its name is one too many: a service may have \(mostNamesPerService)")
        }
      case .network(let network):
        if network.lies(within: IPv4Network(plan.base, UInt8(AddressPlan.prefixLength))) {
          throw InvalidEgressRule(
            text: rule.description,
            reason:
              "it lies in \(plan), the range of the deployments themselves: services reach each "
              + "other there without a rule, and nothing else")
        }
        if network.lies(within: .loopback) {
          throw InvalidEgressRule(
            text: rule.description,
            reason: "loopback is the container's own, and needs no rule")
        }
      }
    }
  }
}

extension IPv4Network {
  /// 127.0.0.0/8
  static let loopback = IPv4Network(IPv4Address(0x7f00_0000), 8)
}

/// An invalid rule for egress.
public struct InvalidEgressRule: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was given.
  public let text: String

  /// What is wrong with it.
  public let reason: String

  /// What to tell people.
  public var description: String {
    "\(quoted(text)) is no egress rule such as \"api.example.com:443\" or \"10.1.0.0/16:443\": \(reason)"
  }
}

extension EgressRule: CustomStringConvertible {
  /// The rule as `init(_:)` reads it, with the prefix length of a network in any case.
  public var description: String {
    let port = port.map(\.description) ?? "*"
    return switch destination {
    case .network(let network): "\(network):\(port)"
    case .name(let name): "\(name):\(port)"
    }
  }
}

extension EgressRule: Codable {
  /// A rule from a single string.
  ///
  /// - Throws: `InvalidEgressRule`, or what the decoder throws where there is no string.
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(String.self))
  }

  /// The rule as a single string.
  ///
  /// - Throws: what the encoder throws.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension AddressPlan {
  /// Why an address that a name turns out to have can be none of a host outside; nil where it can. Whoever
  /// has the name chooses its addresses, and must not lead connections to a place that no rule could open or
  /// that nobody means by a name.
  public func objection(toAddressOfName address: IPv4Address) -> String? {
    if contains(address) { return "it lies in \(self), the range of the deployments" }
    return Self.reserved.first { $0.network.contains(address) }?.reason
  }

  private static let reserved: [(network: IPv4Network, reason: String)] = [
    (.loopback, "it is loopback"),
    (IPv4Network(IPv4Address(0xa9fe_0000), 16), "it is link-local, as the metadata of clouds is"),
    (IPv4Network(IPv4Address(0), 8), "it lies in 0.0.0.0/8, which is no host's"),
    (IPv4Network(IPv4Address(0xe000_0000), 4), "it is multicast"),
    (IPv4Network(IPv4Address(0xf000_0000), 4), "it lies in 240.0.0.0/4, which is reserved"),
  ]
}
