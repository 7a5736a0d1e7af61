import CLinux
import Glibc
import LinuxSystem
import Relay
import SystemPackage

/// The socket on which a runner takes tunnels.
enum TunnelListener {
  /// Listens at `address`; throws `SystemError`, EADDRINUSE where another program does.
  static func make(at address: SocketAddress) throws -> OwnedDescriptor {
    let socket = linux_tcp_listener(address.host, address.port)
    guard socket >= 0 else {
      throw SystemError(.last, "take tunnels at", "\(address)", hint: "see tunnel.address")
    }
    return OwnedDescriptor(owning: socket)
  }
}
