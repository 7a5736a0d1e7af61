/// One way out that a service is allowed: TCP to a network's addresses, at one port or at all.
public struct EgressRule: Hashable, Sendable {
  /// The network's first address.
  public let network: IPv4Address

  /// How many leading bits of an address must be the network's, 0 to 32.
  public let prefixLength: UInt8

  /// The port; nil for every port.
  public let port: PortNumber?

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
    // Swift's << gives 0 for a shift by the whole width, which is the mask of /0.
    let first = IPv4Address(address.rawValue & (~0 << UInt32(32 - length)))
    guard first == address else {
      throw refuse(
        "\(address) is not the first address of a /\(length); \(first)/\(length) may be meant")
    }
    self.network = address
    self.prefixLength = length
  }
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
