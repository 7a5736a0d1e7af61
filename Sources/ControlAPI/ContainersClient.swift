import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Model

/// The daemon's API for containers, as the OCI wrapper and its hooks use it.
package enum ContainersClient {
  package typealias Client = Istbpf_Containers_V1_Containers.Client<HTTP2ClientTransport.Posix>

  /// Connects to the daemon of `installation`, hands the client and the options for its one call to
  /// `body`, and closes.
  ///
  /// A container must not wait for ever: the call fails after `patience`. Throws
  /// `ControlClient.Failure` where the daemon cannot be reached, does not answer or refuses.
  package static func connect<Result: Sendable>(
    to installation: Installation, patience: Duration,
    _ body: @Sendable (Client, CallOptions) async throws -> Result
  ) async throws -> Result {
    var options = CallOptions.defaults
    options.timeout = patience
    options.waitForReady = false
    let chosen = options
    return try await ControlClient.withConnection(to: installation.containersSocketPath) { client in
      do {
        return try await body(Client(wrapping: client), chosen)
      } catch let error as RPCError {
        switch error.code {
        case .deadlineExceeded, .cancelled:
          throw ControlClient.Failure(description: "istbpfd did not answer within \(patience)")
        case .unavailable:
          throw ControlClient.Failure(description: "istbpfd cannot do it now: \(error.message)")
        default: throw error
        }
      }
    }
  }
}
