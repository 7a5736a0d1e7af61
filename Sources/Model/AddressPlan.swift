/// The number of a service within its deployment, 1 to 510: it owns the /24 at
/// `range + number * 256`. Block 0 is the fabric's own.
public typealias ServiceNumber = UInt16

/// The number of an instance within its service, 2 to 254: the last octet of its address.
public typealias InstanceNumber = UInt8

/// The private range that every deployment has, and what each address of it is.
///
/// Ranges of two deployments never meet, since each deployment has its own fabric.
public struct AddressPlan: Hashable, Sendable {
  /// The first address of the /15.
  public let base: IPv4Address

  /// The length of the prefix: 15, so 510 services of 253 instances, and the fabric's own block.
  public static let prefixLength = 15

  /// The numbers that a service may have.
  public static let serviceNumbers: ClosedRange<ServiceNumber> = 1...510

  /// The numbers that an instance may have.
  public static let instanceNumbers: ClosedRange<InstanceNumber> = 2...254

  /// 198.18.0.0/15, set aside for benchmarks by RFC 2544 and so met in no other network.
  public static let standard = AddressPlan(base: IPv4Address(0xc612_0000))

  private static let mask: UInt32 = ~0 << UInt32(32 - prefixLength)

  private init(base: IPv4Address) { self.base = base }

  /// The plan over `cidr`, such as `198.18.0.0/15`; nil unless it is a /15 on its boundary.
  public init?(cidr: String) {
    let parts = cidr.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[1] == "\(Self.prefixLength)",
      let base = IPv4Address(String(parts[0])),
      base.rawValue & ~Self.mask == 0, base.rawValue >> 24 != 0, base.rawValue >> 24 != 127,
      base.rawValue >> 28 < 0xe
    else { return nil }
    self.base = base
  }

  /// The fabric's own address in every deployment, `.0.1`.
  public var gateway: IPv4Address { IPv4Address(base.rawValue + 1) }

  /// The address that `istbpf connect` comes from in every deployment, `.0.2`: nobody else has it.
  public var host: IPv4Address { IPv4Address(base.rawValue + 2) }

  /// The address that `WARP_IST_<service>` holds.
  public func serviceAddress(_ service: ServiceNumber) -> IPv4Address {
    IPv4Address(base.rawValue + UInt32(service) << 8 + 1)
  }

  /// The address of one running copy of a service.
  public func instanceAddress(_ service: ServiceNumber, _ instance: InstanceNumber) -> IPv4Address {
    IPv4Address(base.rawValue + UInt32(service) << 8 + UInt32(instance))
  }

  /// The service whose /24 `address` is in, 0 for the fabric's own, and its last octet, which is an instance's number or 1;
  /// nil outside of the range.
  public func place(of address: IPv4Address) -> (service: ServiceNumber, octet: UInt8)? {
    offset(of: address).map { (ServiceNumber($0 >> 8), UInt8($0 & 0xff)) }
  }

  /// The service address in the /24 that `address` is in.
  public static func serviceAddress(of address: IPv4Address) -> IPv4Address {
    IPv4Address(address.rawValue & ~0xff | 1)
  }

  /// Whether `address` lies in the range.
  public func contains(_ address: IPv4Address) -> Bool {
    address.rawValue & Self.mask == base.rawValue
  }

  /// The place of `address` in the range, 0 to 131,071; nil outside.
  public func offset(of address: IPv4Address) -> UInt32? {
    contains(address) ? address.rawValue - base.rawValue : nil
  }
}

extension AddressPlan: CustomStringConvertible {
  /// The range as CIDR: `198.18.0.0/15`.
  public var description: String { "\(base)/\(Self.prefixLength)" }
}
