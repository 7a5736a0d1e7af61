import Glibc
import LinuxSystem

/// The proof that the programs of a cgroup guard the process that is about to become an instance's
/// first: it tries what no instance may do.
///
/// That the kernel lists a program as effective says nothing of the sockets: the hooks that it runs are
/// those of the cgroup that it takes a socket for. A process that is not where it believes to be, or
/// a kernel that matches sockets with another hierarchy, is found by trying only.
public enum AttachProof {
  /// Throws `DataplaneError.unguarded` unless each attempt fails as the programs have it fail.
  ///
  /// The calling process must be in the cgroup, and the calling thread in the instance's network
  /// namespace. To be done before the instance is identified: then not even its egress rules open
  /// what is tried here, and the denials count for no service. Takes some ten microseconds.
  public static func attempt(in cgroup: String) throws(DataplaneError) {
    for attempt in attempts {
      let outcome = attempt.make()
      guard outcome != EPERM, !(attempt.isOfIPv6 && outcome == EAFNOSUPPORT) else { continue }
      throw .unguarded(cgroup: cgroup, attempt: attempt.name, errno: outcome)
    }
  }

  private struct Attempt {
    let name: String
    /// The kernel may have no IPv6 at all.
    var isOfIPv6 = false
    /// The errno, 0 where it worked.
    let make: @Sendable () -> Int32
  }

  private static let attempts = [
    Attempt(name: "a TCP connect to 192.0.2.1") { reach(SOCK_STREAM, to: ipv4, by: connect) },
    Attempt(name: "a TCP connect to 2001:db8::1", isOfIPv6: true) {
      reach(SOCK_STREAM, to: ipv6, by: connect)
    },
    Attempt(name: "a datagram to 192.0.2.1") { reach(SOCK_DGRAM, to: ipv4, by: datagram) },
    Attempt(name: "a datagram to 2001:db8::1", isOfIPv6: true) {
      reach(SOCK_DGRAM, to: ipv6, by: datagram)
    },
    Attempt(name: "to make a raw socket") {
      withSocket(AF_INET, SOCK_RAW, Int32(IPPROTO_ICMP)) { _ in 0 }
    },
  ]

  // Addresses for documentation (RFC 5737, RFC 3849), which are nobody's: port 9 discards.

  private static var ipv4: sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(9).bigEndian
    address.sin_addr.s_addr = UInt32(0xc000_0201).bigEndian
    return address
  }

  private static var ipv6: sockaddr_in6 {
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = in_port_t(9).bigEndian
    withUnsafeMutableBytes(of: &address.sin6_addr) {
      $0.copyBytes(from: [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1])
    }
    return address
  }

  private typealias Call = (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32

  private static func connect(_ socket: Int32, _ to: UnsafePointer<sockaddr>, _ length: socklen_t)
    -> Int32
  { Glibc.connect(socket, to, length) }

  private static func datagram(_ socket: Int32, _ to: UnsafePointer<sockaddr>, _ length: socklen_t)
    -> Int32
  { sendto(socket, "", 0, 0, to, length) < 0 ? -1 : 0 }

  private static func reach<Address>(
    _ type: __socket_type, to address: Address, by call: Call
  ) -> Int32 {
    withUnsafeBytes(of: address) { bytes in
      guard let to = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else {
        return EFAULT
      }
      return withSocket(Int32(to.pointee.sa_family), type, 0) { socket in
        call(socket, to, socklen_t(bytes.count)) == 0 ? 0 : errno
      }
    }
  }

  /// The errno of making the socket, or else what `body` returns; nothing waits for an answer.
  private static func withSocket(
    _ family: Int32, _ type: __socket_type, _ number: Int32, _ body: (Int32) -> Int32
  ) -> Int32 {
    let made = socket(
      family, Int32(type.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), number)
    guard made >= 0 else { return errno }
    defer { close(made) }
    return body(made)
  }
}
