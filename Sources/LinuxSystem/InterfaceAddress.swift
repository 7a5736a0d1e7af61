import Glibc

/// An IPv4 address that an interface has.
public struct InterfaceAddress: Hashable, Sendable {
  /// The interface's name.
  public let interface: String
  /// A number in host byte order.
  public let address: UInt32
  /// Bits of the network that is reached over the interface without a gateway, 0 to 32.
  public let prefixLength: Int

  /// Whether another address, in host byte order, is of the same network.
  public func isNeighbour(_ other: UInt32) -> Bool {
    let mask: UInt32 = prefixLength == 0 ? 0 : ~0 << UInt32(32 - prefixLength)
    return other & mask == address & mask
  }

  /// Those of the calling thread's network namespace; throws `SystemError`.
  public static func all() throws -> [InterfaceAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { throw SystemError(.last, "list", "interface addresses") }
    defer { freeifaddrs(list) }
    var found: [InterfaceAddress] = []
    var next = list
    while let entry = next?.pointee {
      next = entry.ifa_next
      guard let address = ipv4(entry.ifa_addr), let mask = ipv4(entry.ifa_netmask) else { continue }
      found.append(
        InterfaceAddress(
          interface: String(cString: entry.ifa_name), address: address,
          prefixLength: mask.nonzeroBitCount))
    }
    return found
  }

  private static func ipv4(_ address: UnsafeMutablePointer<sockaddr>?) -> UInt32? {
    guard let address, address.pointee.sa_family == sa_family_t(AF_INET) else { return nil }
    return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
      UInt32(bigEndian: $0.pointee.sin_addr.s_addr)
    }
  }
}
