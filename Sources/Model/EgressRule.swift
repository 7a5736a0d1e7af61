/// One way out that a service is allowed: TCP to a network's addresses, at one port or at all.
public struct EgressRule: Hashable, Sendable {
  /// The network's first address.
  public let network: IPv4Address

  /// How many leading bits of an address must be the network's, 0 to 32.
  public let prefixLength: UInt8

  /// The port; nil for every port.
  public let port: PortNumber?

  /// The rule from its parts; `network` is the first address of its network.
  public init(network: IPv4Address, prefixLength: UInt8, port: PortNumber?) {
    self.network = network
    self.prefixLength = prefixLength
    self.port = port
  }

  /// The rule that `text` is: `10.1.0.0/16:443`, `192.0.2.7:5432`, or `0.0.0.0/0:*` for every port.
  ///
  /// - Throws: `InvalidEgressRule` with what is wrong.
  public init(_ text: String) throws(InvalidEgressRule) {
    func refuse(_ reason: String) -> InvalidEgressRule {
      InvalidEgressRule(text: text, reason: reason)
    }
    guard let colon = text.lastIndex(of: ":") else {
      throw refuse("a port is missing; write \":*\" for every port")
    }
    let portText = text[text.index(after: colon)...]
    do { self.port = portText == "*" ? nil : try PortNumber(portText) } catch {
      throw refuse("\(error)")
    }
    let parts = text[..<colon].split(separator: "/", omittingEmptySubsequences: false)
    guard let addressText = parts.first, let address = IPv4Address(String(addressText)) else {
      throw refuse("the network is no IPv4 address; names and IPv6 are not taken")
    }
    var length: UInt8 = 32
    if parts.count > 1 {
      guard parts.count == 2, let given = UInt8(parts[1]), "\(given)" == parts[1], given <= 32
      else {
        throw refuse("the prefix length is no number from 0 to 32")
      }
      length = given
    }
    let first = IPv4Address(address.rawValue & Self.mask(Int(length)))
    guard first == address else {
      throw refuse(
        "\(address) is not the first address of a /\(length); \(first)/\(length) may be meant")
    }
    self.network = address
    self.prefixLength = length
  }
}

extension EgressRule {
  /// How many rules a service may have: `IST_EGRESS_PER_SERVICE`, so that none fills the kernel's map.
  public static let mostPerService = 256

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
    for rule in rules {
      if rule.lies(within: plan.base, AddressPlan.prefixLength) {
        throw InvalidEgressRule(
          text: rule.description,
          reason:
            "it lies in \(plan), the range of the deployments themselves: services reach each "
            + "other there without a rule, and nothing else")
      }
      if rule.lies(within: IPv4Address(0x7f00_0000), 8) {
        throw InvalidEgressRule(
          text: rule.description,
          reason: "loopback is the container's own, and needs no rule")
      }
    }
  }

  /// Whether a connection to `address` and `port`, in host byte order, is what the rule allows.
  public func allows(_ address: IPv4Address, port: UInt16) -> Bool {
    (self.port.map { $0.rawValue == port } ?? true)
      && IPv4Address(address.rawValue & Self.mask(Int(prefixLength))) == network
  }

  private func lies(within network: IPv4Address, _ length: Int) -> Bool {
    Int(prefixLength) >= length && self.network.rawValue & Self.mask(length) == network.rawValue
  }

  /// Swift's << gives 0 for a shift by the whole width, which is the mask of /0.
  private static func mask(_ length: Int) -> UInt32 { ~0 << UInt32(32 - length) }
}

/// A rule for egress that is none.
public struct InvalidEgressRule: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was given.
  public let text: String

  /// What is wrong with it.
  public let reason: String

  /// What to tell people.
  public var description: String {
    "\(quoted(text)) is no egress rule such as \"10.1.0.0/16:443\": \(reason)"
  }
}

extension EgressRule: CustomStringConvertible {
  /// The rule as `init(_:)` reads it, with the prefix length in any case.
  public var description: String {
    "\(network)/\(prefixLength):\(port.map(\.description) ?? "*")"
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
