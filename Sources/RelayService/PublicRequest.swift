import Dispatch
import Fabric
import LinuxSystem
import Model
import Relay
import RelayControl
import Synchronization
import Tunnel

/// One request of the front door, on its way to an instance.
///
/// An instance that does not take the connection is passed over for the next, since nothing of the
/// request has been sent yet; where none takes it, as while the only one is being started again, that
/// is tried for a while. Once a connection is there, the request is that instance's, and is never
/// given to another, whatever becomes of it.
final class PublicRequest: Sendable {
  private let service: ServiceListener
  /// The connection, while it is nobody's.
  private let current: Mutex<DescriptorHandoff>
  private let relay: Relay
  private let fabrics: FabricNames
  private let dialing: DispatchQueue
  private let deadline = ContinuousClock.now + patience
  private let rounds = Mutex(0)
  private let ended: @Sendable () -> Void

  /// Instances that are tried in one round.
  private static let attempts = 4
  /// How long one instance may take to accept.
  private static let dialTimeout = Duration.seconds(3)
  /// How long a request waits for an instance.
  private static let patience = Duration.seconds(5)
  /// The pause after the first round, in milliseconds; it doubles, up to the longest.
  private static let (firstPause, longestPause) = (50, 400)

  /// A request whose connection is `socket`; `ended` is called when that is an instance's, or was answered.
  init(
    _ socket: consuming OwnedDescriptor, _ service: ServiceListener, relay: Relay,
    fabrics: FabricNames, dialing: DispatchQueue, ended: @escaping @Sendable () -> Void
  ) {
    self.ended = ended
    current = Mutex(DescriptorHandoff(socket))
    (self.service, self.relay, self.fabrics, self.dialing) = (service, relay, fabrics, dialing)
  }

  deinit { ended() }

  private var handoff: DescriptorHandoff { current.withLock { $0 } }

  /// Looks for an instance that takes it, or answers in the place of one.
  func begin() {
    attempt(service.destinations.prefix(Self.attempts), service.route)
  }

  private func attempt(
    _ destinations: ArraySlice<InstanceDirectory.Destination>, _ route: PublicRoute
  ) {
    guard let destination = destinations.first else { return missed(route) }
    switch destination {
    case .local(let address): dialing.async { self.dial(address, destinations, route) }
    case .remote(let address, let peer):
      let request = StreamRequest(
        deployment: route.deployment, source: fabrics.plan.gateway, destination: address,
        port: route.port)
      relay.open(request, to: peer, timeout: Self.dialTimeout) { result in
        guard case .success(let stream) = result else {
          return self.attempt(destinations.dropFirst(), route)
        }
        if let socket = self.handoff.take() { self.relay.join(socket, to: stream) }
      }
    }
  }

  private func dial(
    _ address: IPv4Address, _ destinations: ArraySlice<InstanceDirectory.Destination>,
    _ route: PublicRoute
  ) {
    let fabric = fabrics.fabric(of: route.deployment)
    guard
      // Where there is no socket, as without a fabric, the next instance is tried, and then the answer says so.
      let dialing = try? TransparentSocket.dialing(in: fabric, as: fabrics.plan.gateway)
    else { return attempt(destinations.dropFirst(), route) }
    guard let socket = handoff.take() else { return }
    relay.pair(
      socket,
      with: DialInstruction(socket: dialing, destination: address, port: route.port),
      timeout: Self.dialTimeout
    ) { socket, _ in
      let handoff = DescriptorHandoff(socket)
      self.current.withLock { $0 = handoff }
      self.attempt(destinations.dropFirst(), route)
    }
  }

  /// No instance took it: tries again in a moment where that may help, or says so.
  private func missed(_ route: PublicRoute) {
    let round = rounds.withLock { round in
      defer { round += 1 }
      return round
    }
    guard ContinuousClock.now < deadline, service.beginWait() else {
      let words = Answer.text(route, hasInstances: !service.destinations.isEmpty)
      if let socket = handoff.take() { relay.close(socket, saying: words) }
      return
    }
    let pause = min(Self.firstPause << min(round, 8), Self.longestPause)
    dialing.asyncAfter(deadline: .now() + .milliseconds(pause)) {
      self.service.endWait()
      // Where nobody waits for the answer any more, an instance must not be asked.
      if self.handoff.isHungUp { return self.handoff.reset() }
      self.begin()
    }
  }

  /// What HAProxy passes on where no connection comes about.
  private enum Answer {
    static func text(_ route: PublicRoute, hasInstances: Bool) -> [UInt8] {
      let name = route.title
      let (status, body) =
        !hasInstances
        ? ("503 Service Unavailable", "\(name) has no instance that runs.")
        : (
          "502 Bad Gateway",
          "no instance of \(name) accepts connections on port \(route.port)."
        )
      let text = "\(status): \(body)\n"
      return Array(
        ("HTTP/1.1 \(status)\r\nContent-Type: text/plain\r\nContent-Length: \(text.utf8.count)\r\n"
          + "Cache-Control: no-store\r\nConnection: close\r\n\r\n\(text)").utf8)
    }
  }
}
