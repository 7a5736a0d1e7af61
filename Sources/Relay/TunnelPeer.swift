import LinuxSystem
import Model
import Tunnel

/// Another runner: who it must prove to be, and where it accepts tunnels.
public struct TunnelPeer: Hashable, Sendable {
  /// The runner that its certificate must name.
  public let runner: RunnerIdentifier
  /// Where it listens.
  public let address: SocketAddress

  /// The runner `runner`, which listens at `address`.
  public init(runner: RunnerIdentifier, address: SocketAddress) {
    (self.runner, self.address) = (runner, address)
  }
}
