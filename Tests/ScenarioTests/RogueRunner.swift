import Glibc
import LinuxSystem
import Model
import Relay
import TestSupport
import Tunnel
import TunnelTestSupport

/// A runner's certificate in the hands of somebody who asks other runners for what he likes.
final class RogueRunner: Sendable {
  private let relay: Relay

  /// With the certificate of runner `number`, in its namespace.
  init(_ cluster: ClusterLaboratory, as number: Int) throws {
    let files = "\(cluster.directory)/runner\(number)"
    let identities = TunnelIdentities(
      try TunnelIdentity(
        cluster: ClusterLaboratory.name,
        credentials: TunnelCredentials(
          authoritiesAt: "\(cluster.directory)/ca.crt", certificateAt: "\(files).crt",
          keyAt: "\(files).key")))
    relay = try cluster.namespace(number).perform {
      try Relay(identities: identities, authorize: { _, reply in reply(.refuse(EPERM)) })
    }
  }

  deinit { relay.shutdown(grace: .zero) }

  /// Asks runner `number` for a connection: the errno that it answers with, 0 where it is accepted.
  func ask(
    _ number: Int, _ deployment: String, from source: String, to destination: String, _ port: Int
  ) throws -> Int32 {
    guard let runner = RunnerIdentifier(cluster: ClusterLaboratory.name, name: "runner\(number)"),
      let address = TunnelAddress(ClusterWire.address(number), port: 7443),
      let source = IPv4Address(source), let destination = IPv4Address(destination)
    else { throw SystemError(.invalidArgument, "ask", "runner\(number)") }
    let outcome = Outcome()
    let request = StreamRequest(
      deployment: try DeploymentName(deployment), source: source, destination: destination,
      port: try PortNumber(port))
    relay.open(request, to: TunnelPeer(runner: runner, address: address)) { outcome.set($0) }
    switch outcome.wait() {
    case .success: return 0
    case .failure(let refusal): return refusal.errno
    }
  }
}
