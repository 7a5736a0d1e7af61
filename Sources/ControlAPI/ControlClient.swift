import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc

/// The daemon's API as the commands use it: one connection a command.
package enum ControlClient {
  /// A failed call, with a message that is meant for a person.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  package typealias Client = Istbpf_Control_V1_Control.Client<HTTP2ClientTransport.Posix>

  /// Connects to the socket, hands the client to `body`, and closes.
  ///
  /// Throws `Failure` where the daemon cannot be reached or answers with an error.
  package static func connect<Result: Sendable>(
    to socketPath: String, _ body: @Sendable (Client) async throws -> Result
  ) async throws -> Result {
    try await withConnection(to: socketPath) { client in
      try await body(Istbpf_Control_V1_Control.Client(wrapping: client))
    }
  }

  /// The same for any service of the daemon.
  static func withConnection<Result: Sendable>(
    to socketPath: String,
    _ body: @Sendable (GRPCClient<HTTP2ClientTransport.Posix>) async throws -> Result
  ) async throws -> Result {
    try probe(socketPath)
    let transport = try HTTP2ClientTransport.Posix(
      target: .unixDomainSocket(path: socketPath), transportSecurity: .plaintext)
    do {
      return try await withGRPCClient(transport: transport) { try await body($0) }
    } catch let error as RPCError {
      throw Failure(description: error.message)
    }
  }

  /// Hands each message of a stream that has no end of its own to `body`.
  ///
  /// Throws `Failure` once the daemon ends, and what `body` throws.
  package static func follow<Message>(
    _ response: StreamingClientResponse<Message>, _ body: (Message) throws -> Void
  ) async throws {
    var hasBegun = false
    do {
      for try await message in response.messages {
        hasBegun = true
        try body(message)
      }
    } catch let error as RPCError where error.code == .unavailable && hasBegun {
      // Killed: the same to who follows as one that was told to stop.
    }
    throw Failure(description: "istbpfd has ended meanwhile")
  }

  /// A plain connect() first: gRPC would retry for long, and its error names no cause.
  private static func probe(_ path: String) throws { close(try dial(path)) }

  /// A socket that is connected to the daemon's at `path`, which the caller has to close.
  ///
  /// Throws `Failure`.
  static func dial(_ path: String) throws -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let capacity = MemoryLayout.size(ofValue: address.sun_path)
    guard path.utf8.count < capacity else {
      throw Failure(
        description: "the control socket's path is longer than \(capacity - 1): \(path)")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result != 0 else { return descriptor }
    let error = errno
    close(descriptor)
    switch error {
    case ENOENT, ECONNREFUSED:
      throw Failure(
        description: "istbpfd is not running: nobody answers at \(path) (start it as root)")
    case EACCES, EPERM:
      throw Failure(
        description: "may not open \(path): only root and the group istbpf may talk to istbpfd")
    default:
      throw Failure(
        description: "cannot reach istbpfd at \(path): \(String(cString: strerror(error)))")
    }
  }
}
