import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc

/// A part of the daemon's API on its Unix socket.
package struct ControlServer: Sendable {
  /// Who may open a socket, beside root.
  package enum Access: Sendable {
    /// The group istbpf, where there is one.
    case group
    case nobody
  }

  private let server: GRPCServer<HTTP2ServerTransport.Posix>
  private let socketPath: String
  private let access: Access

  /// A server of `service`; it takes the place of a socket that a dead daemon left.
  package init(socketPath: String, access: Access, service: some RegistrableRPCService) {
    self.socketPath = socketPath
    self.access = access
    unlink(socketPath)
    server = GRPCServer(
      transport: .http2NIOPosix(
        address: .unixDomainSocket(path: socketPath), transportSecurity: .plaintext),
      services: [service])
  }

  /// Serves until `stop`; `ready` is called once the socket takes connections, and may itself run
  /// another server.
  package func run(ready: () async throws -> Void) async throws {
    // Nobody may connect before the owner and mode are right.
    let mask = umask(0o177)
    async let serving: Void = server.serve()
    _ = try await server.listeningAddress
    umask(mask)
    if access == .group { try Self.admitGroup(to: socketPath) }
    try await ready()
    try await serving
  }

  /// Lets the calls that are under way end, and takes no new ones.
  package func stop() {
    server.beginGracefulShutdown()
  }

  private static func admitGroup(to path: String) throws {
    if let group = getgrnam("istbpf") {
      guard chown(path, 0, group.pointee.gr_gid) == 0, chmod(path, 0o660) == 0 else {
        throw ControlClient.Failure(
          description: "cannot set owner and mode of \(path): \(String(cString: strerror(errno)))")
      }
    }
  }
}
