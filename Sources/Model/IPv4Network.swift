/// An IPv4 network: the addresses that share their leading bits.
public struct IPv4Network: Hashable, Sendable {
  /// The network's first address.
  public let first: IPv4Address

  /// How many leading bits of an address must be the network's, 0 to 32.
  public let prefixLength: UInt8

  /// The network of `prefixLength` that `address` is in.
  public init(_ address: IPv4Address, _ prefixLength: UInt8 = 32) {
    self.first = IPv4Address(address.rawValue & Self.mask(prefixLength))
    self.prefixLength = prefixLength
  }

  /// Whether `address` is in the network.
  public func contains(_ address: IPv4Address) -> Bool {
    address.rawValue & Self.mask(prefixLength) == first.rawValue
  }

  /// Whether every address of it is in `other`.
  public func lies(within other: IPv4Network) -> Bool {
    prefixLength >= other.prefixLength && other.contains(first)
  }

  /// Swift's << gives 0 for a shift by the whole width, which is the mask of /0.
  private static func mask(_ length: UInt8) -> UInt32 { ~0 << UInt32(32 - length) }
}

extension IPv4Network: CustomStringConvertible {
  /// The network as CIDR, with the prefix length in any case: `192.0.2.7/32`.
  public var description: String { "\(first)/\(prefixLength)" }
}

/// Where a service may connect to, as the kernel holds it: a network, and one port or all.
public struct AllowedNetwork: Hashable, Sendable {
  /// The addresses.
  public let network: IPv4Network

  /// The port; nil for every port.
  public let port: PortNumber?

  /// A network and a port.
  public init(_ network: IPv4Network, port: PortNumber?) {
    self.network = network
    self.port = port
  }

  /// Whether a connection to `address` and `port`, in host byte order, is allowed by it.
  public func allows(_ address: IPv4Address, port: UInt16) -> Bool {
    (self.port.map { $0.rawValue == port } ?? true) && network.contains(address)
  }
}

extension AllowedNetwork: CustomStringConvertible {
  /// As an egress rule has it: `203.0.113.0/24:443`, `192.0.2.7/32:*`.
  public var description: String { "\(network):\(port.map(\.description) ?? "*")" }
}
