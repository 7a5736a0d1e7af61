import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc

/// The daemon's API on its Unix socket.
package struct ControlServer: Sendable {
  private let server: GRPCServer<HTTP2ServerTransport.Posix>
  private let socketPath: String

  /// A server of `service`; it takes the place of a socket that a dead daemon left.
  package init(socketPath: String, service: some Istbpf_Control_V1_Control.SimpleServiceProtocol) {
    self.socketPath = socketPath
    unlink(socketPath)
    server = GRPCServer(
      transport: .http2NIOPosix(
        address: .unixDomainSocket(path: socketPath), transportSecurity: .plaintext),
      services: [service])
  }

  /// Serves until `stop`; `ready` is called once the socket takes connections.
  package func run(ready: @Sendable () -> Void) async throws {
    // Nobody may connect before the owner and mode are right.
    let mask = umask(0o177)
    async let serving: Void = server.serve()
    _ = try await server.listeningAddress
    umask(mask)
    try Self.restrict(socketPath)
    ready()
    try await serving
  }

  /// Lets the calls that are under way end, and takes no new ones.
  package func stop() {
    server.beginGracefulShutdown()
  }

  /// Root and the group istbpf, where there is one.
  private static func restrict(_ path: String) throws {
    if let group = getgrnam("istbpf") {
      guard chown(path, 0, group.pointee.gr_gid) == 0, chmod(path, 0o660) == 0 else {
        throw ControlClient.Failure(
          description: "cannot set owner and mode of \(path): \(String(cString: strerror(errno)))")
      }
    }
  }
}
