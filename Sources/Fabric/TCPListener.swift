import CLibnlRoute
import Glibc
import LinuxSystem
import Model

/// A TCP socket that listens in a network namespace, whichever process has it, as sock_diag(7) shows it.
public struct TCPListener: Hashable, Sendable {
  /// The connections that reach it.
  public enum Reach: Hashable, Sendable {
    /// Those over IPv4 to any address of the namespace; over IPv6 too where it is bound to `::`.
    case everywhere(alsoIPv6: Bool)
    /// Those to this IPv4 address.
    case ipv4(IPv4Address)
    /// Those over IPv6 to this address, which may be `::`.
    case ipv6(String)
  }

  /// The connections that reach it.
  public let reach: Reach
  /// Host byte order.
  public let port: UInt16
  /// The number of the link that it is bound to (SO_BINDTODEVICE); 0 where it is bound to none.
  public let ifindex: Int32
  /// The id of the cgroup whose socket it is; nil where the kernel does not say.
  public let cgroup: UInt64?
  /// The number of its inode, which /proc/PID/fd shows.
  public let inode: UInt64

  /// Whether a connection to an IPv4 address of the namespace reaches it, where that comes in over the link
  /// number `ifindex`.
  public func isReached(at address: IPv4Address, over ifindex: Int32) -> Bool {
    guard self.ifindex == 0 || self.ifindex == ifindex else { return false }
    return switch reach {
    case .everywhere: true
    case .ipv4(let own): own == address
    case .ipv6: false
    }
  }

  /// Whether it is bound to one address, and so gets the connections to that before a wildcard does.
  public var hasAddress: Bool {
    switch reach {
    case .everywhere, .ipv6("::"): false
    case .ipv4, .ipv6: true
    }
  }

  /// Whether a connection to ::1 reaches it.
  public var isReachedAtIPv6Loopback: Bool {
    switch reach {
    case .everywhere(let alsoIPv6): alsoIPv6
    case .ipv4: false
    case .ipv6(let own): own == "::" || own == "::1"
    }
  }

  /// Those that `namespace` has now; throws `SystemError`, ENOENT where the kernel has no tcp_diag.
  public static func list(in namespace: NetworkNamespace) throws -> [TCPListener] {
    try namespace.perform {
      var found: [TCPListener] = []
      let socket = try NetlinkSocket(NETLINK_SOCK_DIAG)
      for family in [AF_INET, AF_INET6] {
        try socket.listTCP(UInt8(family), states: 1 << 10) { record, message in  // TCP_LISTEN
          let size = Int32(MemoryLayout<inet_diag_msg>.size)
          let only = nlmsg_find_attr(nlmsg_hdr(message), size, Int32(INET_DIAG_SKV6ONLY))
          let cgroup = nlmsg_find_attr(nlmsg_hdr(message), size, Int32(INET_DIAG_CGROUP_ID))
          found.append(
            TCPListener(
              record, isIPv6Only: only.map { nla_get_u8($0) != 0 } ?? false,
              cgroup: cgroup.map { nla_get_u64($0) }))
        }
      }
      return found
    }
  }

  init(_ record: inet_diag_msg, isIPv6Only: Bool, cgroup: UInt64?) {
    self.cgroup = cgroup
    inode = UInt64(record.idiag_inode)
    port = UInt16(bigEndian: record.id.idiag_sport)
    ifindex = Int32(bitPattern: record.id.idiag_if)
    if let own = TCPConnection.ipv4(record.id.idiag_src, record.idiag_family) {
      reach = own.rawValue == 0 ? .everywhere(alsoIPv6: false) : .ipv4(own)
      return
    }
    var address = record.id.idiag_src
    let isWildcard = address == (0, 0, 0, 0)
    guard !isWildcard || isIPv6Only else {
      reach = .everywhere(alsoIPv6: true)
      return
    }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
    reach = .ipv6(text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
  }
}

extension TCPListener: CustomStringConvertible {
  /// As `ss` shows it: `127.0.0.1:3211`, `[::]:3211`.
  public var description: String {
    switch reach {
    case .everywhere(let alsoIPv6): "\(alsoIPv6 ? "[::]" : "0.0.0.0"):\(port)"
    case .ipv4(let address): "\(address):\(port)"
    case .ipv6(let address): "[\(address)]:\(port)"
    }
  }
}
