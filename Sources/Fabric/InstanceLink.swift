import LinuxSystem
import Model

/// The link between an instance and its deployment's fabric.
public struct InstanceLink: Hashable, Sendable {
  /// The name of the fabric's end, 1 to 15 bytes.
  public let name: String
  /// The number of the fabric's end, and of the instance's end too where it is free there.
  ///
  /// The caller chooses it so that one number names an instance on the whole runner.
  public let ifindex: Int32
  /// The instance's address.
  public let address: IPv4Address

  /// A link from its parts; `ifindex` is over 1, which is the loopback's.
  public init(name: String, ifindex: Int32, address: IPv4Address) {
    (self.name, self.ifindex, self.address) = (name, ifindex, address)
  }

  /// The name of the instance's end.
  public static let instanceEndName = "ist0"

  /// Whether a network namespace has a link with this number; throws `SystemError` where it cannot be
  /// looked into.
  public static func isIn(_ namespace: NetworkNamespace, ifindex: Int32) throws -> Bool {
    try namespace.perform { try NetlinkSocket().hasLink(ifindex) }
  }

  /// The gateway to the range, as an instance sees it: link-local, and nowhere answered by ARP.
  public static let gateway = IPv4Address(0xa9fe_0101)

  /// The metric of the default route over ist0, which every other default route has precedence over.
  static let lastMetric = UInt32.max

  /// What IPv4 packets over a veth can have at most, bytes.
  public static let mtu: UInt32 = 65535

  /// What TCP may hand the link in one piece, bytes, where the kernel has BIG TCP for IPv4 (6.3).
  ///
  /// No wire is between the ends, so that a segment stays whole from sender to receiver. 512 KiB is
  /// the kernel's own limit (GSO_MAX_SIZE, eight times 64 KiB less eight).
  public static let largestSegment: UInt32 = 8 * 65535

  /// The hardware address of the fabric's end of every link. It is the same for all so that a frame
  /// which tc redirects from one link to another is addressed to the fabric either way.
  public static let fabricHardwareAddress = HardwareAddress([0x02, 0x69, 0x73, 0x74, 0x00, 0x01])

  /// The hardware address of the instance's end: `02:69` and the four bytes of its address.
  public var instanceHardwareAddress: HardwareAddress {
    HardwareAddress([0x02, 0x69] + withUnsafeBytes(of: address.networkOrder, Array.init))
  }
}

/// An Ethernet address.
public struct HardwareAddress: Hashable, Sendable, CustomStringConvertible {
  /// Its six bytes, in the order of transmission.
  public let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Six hexadecimal bytes with colons.
  public var description: String {
    bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined(separator: ":")
  }
}

/// A link of a fabric's namespace as the kernel has it.
public struct FabricLink: Hashable, Sendable {
  /// The link's name in the fabric.
  public let name: String
  /// The link's number in the fabric.
  public let ifindex: Int32
  /// The largest packet, bytes.
  public let mtu: UInt32
  /// Whether it is up, whatever its other end is.
  public let isUp: Bool

  /// A link from its parts.
  public init(name: String, ifindex: Int32, mtu: UInt32, isUp: Bool) {
    (self.name, self.ifindex, self.mtu, self.isUp) = (name, ifindex, mtu, isUp)
  }
}
