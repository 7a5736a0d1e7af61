/// The number of a deployment on one runner, 1 to 16383: it is in the keys of the kernel's maps and in the ifindex of every
/// instance's link. Another runner has another one.
public struct DeploymentID: Hashable, Sendable, RawRepresentable {
  /// The number; 0 stands for none in the kernel's maps.
  public let rawValue: UInt16

  /// Any number, also one that no deployment may have.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// The number, if it has the bits.
  public init?(exactly number: some BinaryInteger) {
    guard let number = UInt16(exactly: number) else { return nil }
    rawValue = number
  }

  /// The number in a field of the kernel's maps, which has more bits than it needs.
  public init(truncatingIfNeeded number: some BinaryInteger) {
    rawValue = UInt16(truncatingIfNeeded: number)
  }

  /// The number in a message; the greatest number there is, which no deployment has, for one that is none.
  public init(clamping number: some BinaryInteger) { rawValue = UInt16(clamping: number) }
}

extension DeploymentID: Strideable, CustomStringConvertible, ExpressibleByIntegerLiteral {
  /// How many numbers on `other` is.
  public func distance(to other: DeploymentID) -> Int { Int(other.rawValue) - Int(rawValue) }

  /// The one that many numbers on; the result must have 16 bits.
  public func advanced(by distance: Int) -> DeploymentID {
    DeploymentID(rawValue: UInt16(Int(rawValue) + distance))
  }

  /// A number of the source text.
  public init(integerLiteral value: UInt16) { rawValue = value }

  /// The number.
  public var description: String { "\(rawValue)" }
}

extension DeploymentID: Codable {
  /// Reads the number alone.
  public init(from decoder: any Decoder) throws {
    rawValue = try decoder.singleValueContainer().decode(UInt16.self)
  }

  /// Writes the number alone.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}

extension UInt32 {
  /// As the kernel's maps and messages have it.
  public init(_ id: DeploymentID) { self = UInt32(id.rawValue) }
}
