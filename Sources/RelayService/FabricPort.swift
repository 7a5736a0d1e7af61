import Dataplane
import Fabric
import LinuxSystem
import Model
import Relay
import Synchronization

/// The relay's place in one deployment's fabric: the link of held SYNs, and the socket that takes
/// the connections that the switch gives it.
final class FabricPort: Sendable {
  /// What is done with a connection that the switch gave the relay.
  typealias Handler = @Sendable (consuming OwnedDescriptor, Flow) -> Void

  let fabric: FabricNamespace
  /// The inode of the fabric's namespace, which another of the same name has not.
  let inode: UInt64
  /// The name of the deployment.
  let name: DeploymentName
  /// What the listening socket is kept as.
  let listenerName: String
  private let deployment: DeploymentID
  private let replay: ReplayLink
  /// Nil once it is left to another relay for good; `listenerNumber` until then.
  private let listener: Mutex<OwnedDescriptor?>
  private let listenerNumber: Int32
  private let sockets: SpareSockets
  private let accepted: Handler
  private let watched = Mutex<WatchedDescriptor?>(nil)

  /// Opens the link, which istbpfd made, and listens, by the socket of an earlier relay where one was kept. Throws
  /// `SystemError`.
  init(
    of deployment: Deployment, fabric: FabricNamespace, inode: UInt64, listeners: ListenerStore,
    accepted: @escaping Handler
  ) throws {
    (self.fabric, self.inode, self.accepted) = (fabric, inode, accepted)
    (self.deployment, name) = (deployment.id, deployment.name)
    listenerName = ListenerStore.name(ofFabric: deployment.id, inode: inode)
    replay = try ReplayLink(
      of: fabric, ifindex: Dataplane.replayIfindex(deployment: deployment.id, plan: fabric.plan))
    let listener = try listeners.take(listenerName) {
      try TransparentSocket.listening(in: fabric, port: Dataplane.relayPort)
    }
    listenerNumber = listener.rawValue
    self.listener = Mutex(listener)
    sockets = SpareSockets(of: fabric)
  }

  /// Takes connections on the relay's threads.
  func begin(on relay: Relay) {
    let watched = relay.watch(listenerNumber) { [weak self] in
      while self?.acceptOne() == true {}
    }
    self.watched.withLock { $0 = watched }
  }

  /// Takes none any more, until `begin`; see `Relay.settle`.
  func end() {
    watched.withLock { $0.take() }?.end(living: listenerNumber)
  }

  /// Closes the listening socket, of which another relay has a copy or makes another; after `end`, for good.
  func closeListener() { listener.withLock { $0 = nil } }

  /// Takes a connection that waits; false where none does.
  @discardableResult
  func acceptOne() -> Bool {
    let next = listener.withLock { listener in
      listener == nil ? nil : TransparentSocket.accept(on: listenerNumber)
    }
    guard let connection = next else { return false }
    let flow = Flow(
      deployment: deployment, source: connection.peer.address,
      destination: connection.local.address, sourcePort: connection.peer.port,
      destinationPort: connection.local.port)
    accepted(connection.release(), flow)
    return true
  }

  /// A socket that is about to connect as `source`, an instance of another runner, if one is ready; from `port`
  /// where that is given and free. Throws `SystemError`.
  func readySocket(as source: IPv4Address, port: PortNumber?) throws -> OwnedDescriptor? {
    guard let socket = sockets.take() else { return nil }
    try TransparentSocket.bind(socket, to: source, port: port?.rawValue ?? 0, in: fabric)
    return socket
  }

  /// The same, made where none is ready, which takes a thread and some time.
  func socket(as source: IPv4Address, port: PortNumber?) throws -> OwnedDescriptor {
    while true {
      if let socket = try readySocket(as: source, port: port) { return socket }
      try sockets.fill()
    }
  }

  /// Plays the SYN again: to the relay where the flow was accepted, else to the stack.
  func play(_ frame: HeldFrame) throws { try replay.play(frame.bytes) }

  /// Tells the caller that nobody can be reached there.
  func reportUnreachable(
    _ frame: HeldFrame, _ what: HeldFrame.Unreachable, to caller: IPv4Address
  ) throws {
    let ifindex = Identity(deployment: deployment, address: caller).ifindex
    try replay.send(frame.unreachable(what, from: fabric.plan.gateway), to: ifindex)
  }
}
