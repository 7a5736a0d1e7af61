/// An IPv4 address.
public struct IPv4Address: Hashable, Comparable, Sendable {
  /// The address as a number in host byte order: 127.0.0.1 is `0x7f00_0001`.
  public var rawValue: UInt32

  /// An address from its number in host byte order.
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// An address from its dotted form; nil where `text` is not four decimal octets.
  ///
  /// Leading zeros are refused, because some programs read them as octal.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard part.allSatisfy({ $0.isASCII && $0.isNumber }), let octet = UInt8(part),
        part.count == 1 || part.first != "0"
      else { return nil }
      value = value << 8 | UInt32(octet)
    }
    self.rawValue = value
  }

  /// The address as the kernel and `struct in_addr` hold it, in network byte order.
  public var networkOrder: UInt32 { rawValue.bigEndian }

  /// An address from `struct in_addr`, that is, in network byte order.
  public init(networkOrder: UInt32) { self.rawValue = UInt32(bigEndian: networkOrder) }

  /// Whether it is in 127.0.0.0/8.
  public var isLoopback: Bool { rawValue >> 24 == 127 }

  /// By number.
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension IPv4Address: CustomStringConvertible {
  /// The dotted form: `198.18.2.1`.
  public var description: String {
    "\(rawValue >> 24).\(rawValue >> 16 & 0xff).\(rawValue >> 8 & 0xff).\(rawValue & 0xff)"
  }
}
