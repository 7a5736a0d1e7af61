import CLinux
import Glibc
import LinuxSystem
import Model
import Testing
import Tunnel
import TunnelTestSupport

/// Two ends of a handshake in one thread.
struct HandshakePair {
  enum Outcome {
    case done(TunnelChannel)
    case failed(TunnelError)
    case waiting

    var error: TunnelError? { if case .failed(let error) = self { error } else { nil } }
    var channel: TunnelChannel? { if case .done(let channel) = self { channel } else { nil } }
  }

  /// What became of the client `client`, which expects `expected`, and the server `server`. `midway` is called when the
  /// server has answered the client's first message.
  static func run(
    client: TunnelIdentities, server: TunnelIdentities, expected: String = "server",
    midway: () -> Void = {}
  ) throws -> (client: Outcome, server: Outcome) {
    let (listener, port) = try TestSocket.listener()
    let near = nonBlocking(try TestSocket.connect(port))
    let far = nonBlocking(try listener.accept())
    let runner = try #require(RunnerIdentifier(cluster: "test", name: expected))
    let ends = [
      try TunnelHandshake(
        .client(expected: runner), on: OwnedDescriptor(owning: near), peer: "server",
        identities: client, allowsKernel: true),
      try TunnelHandshake(
        .server, on: OwnedDescriptor(owning: far), peer: "client", identities: server,
        allowsKernel: true),
    ]
    var outcomes = [Outcome.waiting, .waiting]
    for round in 0..<200 {
      if round == 1 { midway() }
      for index in 0...1 {
        guard case .waiting = outcomes[index] else { continue }
        switch ends[index].advance() {
        case .waiting: usleep(500)
        case .done(let channel): outcomes[index] = .done(channel)
        case .failed(let error): outcomes[index] = .failed(error)
        }
      }
    }
    return (outcomes[0], outcomes[1])
  }

  private static func nonBlocking(_ socket: TestSocket) -> Int32 {
    let descriptor = socket.duplicate()
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    return descriptor
  }
}
