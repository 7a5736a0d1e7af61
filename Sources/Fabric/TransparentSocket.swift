import CLinux
import LinuxSystem
import Model
import SystemPackage

/// Sockets of the relay inside a fabric, with addresses that belong to others (IP_TRANSPARENT):
/// non-blocking, IPv4, TCP.
public enum TransparentSocket {
  /// A socket that listens on the fabric's own address, to which the switch gives connections to any
  /// address of the range. Throws `SystemError`, EADDRINUSE where another daemon has one.
  public static func listening(in fabric: FabricNamespace, port: UInt16) throws -> OwnedDescriptor {
    try fabric.open().perform {
      let socket = try make(in: fabric)
      guard linux_bind(socket.rawValue, fabric.plan.gateway.rawValue, port) == 0,
        linux_listen(socket.rawValue) == 0
      else { throw SystemError(.last, "listen on port \(port) of", fabric.name) }
      return socket
    }
  }

  /// So many sockets, which the caller has to close; throws `SystemError`.
  public static func make(_ count: Int, in fabric: FabricNamespace) throws -> [Int32] {
    try fabric.open().perform {
      var sockets: [Int32] = []
      while sockets.count < count {
        do {
          sockets.append(try make(in: fabric).release())
        } catch  where !sockets.isEmpty {
          break
        }
      }
      return sockets
    }
  }

  /// Has `socket` connect as `source`, an instance of another runner, from `port`, or from one that the kernel
  /// chooses where that is 0 or taken; throws `SystemError`.
  public static func bind(
    _ socket: borrowing OwnedDescriptor, to source: IPv4Address, port: UInt16 = 0,
    in fabric: FabricNamespace
  ) throws {
    if port != 0, linux_bind(socket.rawValue, source.rawValue, port) == 0 { return }
    guard linux_bind(socket.rawValue, source.rawValue, 0) == 0 else {
      throw SystemError(.last, "bind to \(source) in", fabric.name)
    }
  }

  /// Has what `socket` sends bear this type of service (IP_TOS). A network may do without.
  public static func setTypeOfService(_ value: UInt8, of socket: borrowing OwnedDescriptor) {
    if value != 0 { linux_set_type_of_service(socket.rawValue, value) }
  }

  /// A socket that is about to connect as `source`; throws `SystemError`.
  public static func dialing(
    in fabric: FabricNamespace, as source: IPv4Address
  ) throws -> OwnedDescriptor {
    try fabric.open().perform {
      let socket = try make(in: fabric)
      try bind(socket, to: source, in: fabric)
      return socket
    }
  }

  /// A socket that is about to connect as `source` and can never be bound to anything else: its port was given to
  /// bind(2), and so stays when it is disconnected. Throws `SystemError`.
  public static func dialing(
    in fabric: FabricNamespace, fixedTo source: IPv4Address
  ) throws -> OwnedDescriptor {
    try fabric.open().perform {
      let socket = try make(in: fabric)
      for _ in 0..<attempts
      where linux_bind(socket.rawValue, source.rawValue, .random(in: dynamicPorts)) == 0 {
        return socket
      }
      throw SystemError(.last, "bind to \(source) in", fabric.name)
    }
  }

  /// RFC 6335, section 6.
  private static let dynamicPorts: ClosedRange<UInt16> = 49152...65535
  private static let attempts = 16

  /// A connection that a listening socket took.
  public struct Accepted: ~Copyable {
    /// The socket, non-blocking.
    public let socket: OwnedDescriptor
    /// Its own address: the one that the caller connected to.
    public let local: (address: IPv4Address, port: UInt16)
    /// The caller's address.
    public let peer: (address: IPv4Address, port: UInt16)

    /// Gives the socket away.
    public consuming func release() -> OwnedDescriptor { socket }
  }

  /// The next connection that waits at `listener`; nil where there is none.
  public static func accept(on listener: Int32) -> Accepted? {
    var (local, localPort) = (UInt32(0), UInt16(0))
    var (peer, peerPort) = (UInt32(0), UInt16(0))
    let socket = linux_accept_ipv4(listener, &peer, &peerPort)
    guard socket >= 0 else { return nil }
    let owned = OwnedDescriptor(owning: socket)
    guard linux_local_address(socket, &local, &localPort) == 0 else { return nil }
    return Accepted(
      socket: owned, local: (IPv4Address(local), localPort), peer: (IPv4Address(peer), peerPort))
  }

  private static func make(in fabric: FabricNamespace) throws -> OwnedDescriptor {
    let socket = linux_transparent_socket()
    guard socket >= 0 else { throw SystemError(.last, "make a socket in", fabric.name) }
    return OwnedDescriptor(owning: socket)
  }
}
