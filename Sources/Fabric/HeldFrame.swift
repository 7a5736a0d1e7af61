import Model

/// The frame of a SYN that the switch held: Ethernet, IPv4 without options, TCP.
public struct HeldFrame: Sendable {
  /// From the Ethernet header on.
  public private(set) var bytes: [UInt8]

  private static let ip = 14
  private static let tcp = 34

  /// A held frame; nil where it is too short for its headers, or is not as long as its IP header says.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.tcp + 20,
      (Self.tcp + 20...bytes.count).contains(Self.end(of: bytes))
    else { return nil }
    self.bytes = bytes
  }

  /// The type of service, which says how a network may treat it (IP_TOS).
  public var typeOfService: UInt8 { bytes[Self.ip + 1] }

  /// Completes the TCP checksum: the caller's kernel left that to its link, which is virtual.
  public mutating func completeChecksum() {
    let end = Self.end(of: bytes)
    (bytes[Self.tcp + 16], bytes[Self.tcp + 17]) = (0, 0)
    let pseudoHeader =
      bytes[Self.ip + 12..<Self.ip + 20] + [0, bytes[Self.ip + 9]]
      + [UInt8((end - Self.tcp) >> 8), UInt8((end - Self.tcp) & 0xff)]
    let sum = Self.checksum(pseudoHeader + bytes[Self.tcp..<end])
    (bytes[Self.tcp + 16], bytes[Self.tcp + 17]) = (UInt8(sum >> 8), UInt8(sum & 0xff))
  }

  /// What of a destination is unreachable: the code of an ICMP message of type 3.
  public enum Unreachable: UInt8, Sendable {
    /// connect() fails with ENETUNREACH.
    case network = 0
    /// connect() fails with EHOSTUNREACH.
    case host = 1
  }

  /// The frame that tells the caller that network or host are unreachable (RFC 792), so that its connect() fails.
  /// To be sent on the caller's own link.
  public func unreachable(_ what: Unreachable, from gateway: IPv4Address) -> [UInt8] {
    let source = withUnsafeBytes(of: gateway.networkOrder, Array.init)
    // RFC 792: the IP header that it is about, and eight bytes behind it.
    var icmp: [UInt8] = [3, what.rawValue, 0, 0, 0, 0, 0, 0] + bytes[Self.ip..<Self.tcp + 8]
    let icmpSum = Self.checksum(icmp)
    (icmp[2], icmp[3]) = (UInt8(icmpSum >> 8), UInt8(icmpSum & 0xff))
    var header: [UInt8] =
      [0x45, 0, 0, UInt8(20 + icmp.count), 0, 0, 0x40, 0, 64, 1, 0, 0] + source
      + bytes[Self.ip + 12..<Self.ip + 16]
    let headerSum = Self.checksum(header)
    (header[10], header[11]) = (UInt8(headerSum >> 8), UInt8(headerSum & 0xff))
    return bytes[6..<12] + bytes[0..<6] + [0x08, 0x00] + header + icmp
  }

  /// Where the packet ends; behind it there may be padding.
  private static func end(of bytes: [UInt8]) -> Int {
    ip + Int(bytes[ip + 2]) << 8 + Int(bytes[ip + 3])
  }

  /// The Internet checksum, RFC 1071, in host byte order.
  static func checksum(_ bytes: some Sequence<UInt8>) -> UInt16 {
    var sum: UInt32 = 0
    var isHigh = true
    for byte in bytes {
      sum += isHigh ? UInt32(byte) << 8 : UInt32(byte)
      isHigh.toggle()
    }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    return ~UInt16(sum)
  }
}
