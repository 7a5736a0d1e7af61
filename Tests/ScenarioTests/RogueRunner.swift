import Glibc
import LinuxSystem
import Model
import Relay
import TestSupport
import Testing
import Tunnel
import TunnelTestSupport

@testable import RelayService

/// A runner's certificate in the hands of somebody who asks other runners for what he likes.
final class RogueRunner: Sendable {
  private let relay: Relay
  private let cluster: ClusterLaboratory
  private let number: Int

  /// With the certificate of runner `number`, in its namespace, where whoever asks is refused with `errno`.
  init(_ cluster: ClusterLaboratory, as number: Int, answering errno: Int32 = EPERM) throws {
    (self.cluster, self.number) = (cluster, number)
    let files = "\(cluster.directory)/runner\(number)"
    let identities = TunnelIdentities(
      try TunnelIdentity(
        cluster: ClusterLaboratory.name,
        credentials: TunnelCredentials(
          authoritiesAt: "\(cluster.directory)/ca.crt", certificateAt: "\(files).crt",
          keyAt: "\(files).key")))
    relay = try cluster.namespace(number).perform {
      try Relay(identities: identities, authorize: { _, reply in reply(.refuse(errno)) })
    }
  }

  deinit { relay.shutdown(grace: .zero) }

  /// Takes tunnels in its place.
  func listen() throws {
    guard let address = SocketAddress(ClusterWire.address(number), port: 7443) else {
      throw SystemError(.invalidArgument, "listen as", "runner\(number)")
    }
    let listener = try cluster.namespace(number).perform {
      try TunnelListener.make(at: address).release()
    }
    relay.listen(on: OwnedDescriptor(owning: listener))
  }

  /// Asks runner `number` for a connection: the errno that it answers with, 0 where it is accepted.
  func ask(
    _ number: Int, _ deployment: String, from source: String, to destination: String, _ port: Int
  ) throws -> Int32 {
    do {
      _ = try open(number, deployment, from: source, to: destination, port)
      return 0
    } catch let refusal as StreamRefusal {
      return refusal.errno
    }
  }

  /// Says `bytes` on a connection that runner `number` accepts, and waits for its end.
  func say(
    _ bytes: [UInt8], on pair: consuming TCPSocketPair, to number: Int, _ deployment: String,
    from source: String, to destination: String, _ port: Int
  ) throws {
    let stream = try open(number, deployment, from: source, to: destination, port)
    relay.join(pair.far, to: stream)
    let near = pair.near.rawValue
    #expect(send(near, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
    var state = pollfd(fd: near, events: Int16(POLLIN), revents: 0)
    var (buffer, count) = ([UInt8](repeating: 0, count: 4096), 1)
    // What is answered comes before the end.
    while count > 0 {
      guard poll(&state, 1, 10_000 * Int32(slowness)) == 1 else {
        Issue.record("nothing ended it: \(bytes)")
        return
      }
      count = recv(near, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    }
  }

  private func open(
    _ number: Int, _ deployment: String, from source: String, to destination: String, _ port: Int
  ) throws -> RelayStream {
    guard let runner = RunnerIdentifier(cluster: ClusterLaboratory.name, name: "runner\(number)"),
      let address = SocketAddress(ClusterWire.address(number), port: 7443),
      let source = IPv4Address(source), let destination = IPv4Address(destination)
    else { throw SystemError(.invalidArgument, "ask", "runner\(number)") }
    let outcome = Outcome()
    let request = StreamRequest(
      deployment: try DeploymentName(deployment), source: source, destination: destination,
      port: try PortNumber(port))
    relay.open(request, to: TunnelPeer(runner: runner, address: address)) { outcome.set($0) }
    return try outcome.wait().get()
  }
}
