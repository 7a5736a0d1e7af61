/// A TCP port, 1 to 65535.
public struct PortNumber: Hashable, Sendable {
  /// The port of a service that names none.
  public static let standard = PortNumber(validated: 8080)

  /// The number, in host byte order.
  public let rawValue: UInt16

  private init(validated: UInt16) { self.rawValue = validated }

  /// The port `number`.
  ///
  /// - Throws: `InvalidPort` outside 1 to 65535.
  public init(_ number: Int) throws(InvalidPort) {
    guard let value = UInt16(exactly: number), value > 0 else {
      throw InvalidPort(text: "\(number)")
    }
    self.rawValue = value
  }

  /// The port that `text` is in decimal.
  ///
  /// - Throws: `InvalidPort` if it has anything but digits, or outside 1 to 65535.
  public init(_ text: some StringProtocol) throws(InvalidPort) {
    // Int takes a sign and leading zeros, which are no way to write a port.
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text.first != "0",
      let value = UInt16(text)
    else { throw InvalidPort(text: String(text)) }
    self.rawValue = value
  }
}

/// An invalid port.
public struct InvalidPort: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was given.
  public let text: String

  /// What to tell people.
  public var description: String {
    "\(quoted(text)) is no port: a port is a whole number from 1 to 65535"
  }
}

extension PortNumber: Comparable {
  /// By number.
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension PortNumber: CustomStringConvertible {
  /// The number in decimal.
  public var description: String { "\(rawValue)" }
}

extension PortNumber: Codable {
  /// A port from a single number.
  ///
  /// - Throws: `InvalidPort`, or what the decoder throws where there is no whole number.
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(Int.self))
  }

  /// The port as a single number.
  ///
  /// - Throws: what the encoder throws.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}
