import Dataplane
import Dispatch
import Fabric
import Glibc
import LinuxSystem
import Model

/// The relay's place in one deployment's fabric: the link of held SYNs, and the socket that takes
/// the connections that the switch gives it.
final class FabricPort: Sendable {
  let fabric: FabricNamespace
  private let deployment: UInt16
  private let replay: ReplayLink
  /// Unsafe only in name: Dispatch lets any thread cancel a source.
  private nonisolated(unsafe) let source: any DispatchSourceRead

  /// Makes both; connections go to `accepted`, with their flows. Throws `SystemError`.
  init(
    of deployment: Deployment, fabric: FabricNamespace, dataplane: Dataplane, queue: DispatchQueue,
    accepted: @escaping @Sendable (consuming OwnedDescriptor, Flow) -> Void
  ) throws {
    self.fabric = fabric
    self.deployment = deployment.id
    replay = try ReplayLink(
      of: fabric, ifindex: Dataplane.replayIfindex(deployment: deployment.id, plan: fabric.plan)
    ) { try dataplane.attachReplay(to: $0) }
    let listener = try TransparentSocket.listening(in: fabric, port: Dataplane.relayPort).release()
    source = DispatchSource.makeReadSource(fileDescriptor: listener, queue: queue)
    let id = deployment.id
    source.setEventHandler {
      while let connection = TransparentSocket.accept(on: listener) {
        let flow = Flow(
          deployment: id, source: connection.peer.address, destination: connection.local.address,
          sourcePort: connection.peer.port, destinationPort: connection.local.port)
        accepted(connection.release(), flow)
      }
    }
    source.setCancelHandler { close(listener) }
    source.activate()
  }

  deinit { source.cancel() }

  /// Plays the SYN again: to the relay where the flow was accepted, else to the stack.
  func play(_ frame: HeldFrame) throws { try replay.play(frame.bytes) }

  /// Tells the caller that nobody can be reached there.
  func reportUnreachable(_ frame: HeldFrame, to caller: IPv4Address) throws {
    let ifindex = Identity(deployment: deployment, address: caller).ifindex
    try replay.send(frame.hostUnreachable(from: fabric.plan.gateway), to: ifindex)
  }
}
