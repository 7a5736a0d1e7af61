import Dataplane
import Dispatch
import Fabric
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import Synchronization

/// Decides on connects that the switches hold: those to other runners, or those to outside.
protocol HeldConnectDecider: Sendable {
  /// A SYN that a switch held; called on an event loop's thread. It ends with `FabricPorts.refuse`, or with
  /// `AcceptedConnects.complete`.
  func held(_ flow: Flow, _ frame: HeldFrame)
  /// A connection that the switch gave the relay, since its flow was accepted; called on an event loop's thread.
  func accepted(_ socket: consuming OwnedDescriptor, _ flow: Flow)
  /// Whether a SYN is being decided on, or a connection awaited.
  var isDeciding: Bool { get }
}

/// The relay's places in the fabrics, and the SYNs that the switches hold: each goes to who decides on it.
final class FabricPorts: Sendable {
  private let flows: FlowTable
  private let plan: AddressPlan
  private let listeners: ListenerStore
  let logger: Logger
  private let state = Mutex(State())

  private struct State {
    var ports: [DeploymentID: FabricPort] = [:]
    var names: [DeploymentName: FabricPort] = [:]
    var relay: Relay?
    var held: WatchedDescriptor?
    /// Who decides on connects within the range; nil on a runner that is alone.
    var inside: (any HeldConnectDecider)?
    /// Who decides on the others.
    var outside: (any HeldConnectDecider)?
    /// Whether what is held and accepted is another relay's.
    var isAnothers = false
  }

  init(flows: FlowTable, plan: AddressPlan, listeners: ListenerStore, logger: Logger) {
    (self.flows, self.plan, self.listeners, self.logger) = (flows, plan, listeners, logger)
  }

  /// The relay, from `start` to `stop`.
  var relay: Relay? { state.withLock { $0.relay } }

  /// Has connects within the range, or those to outside, decided by `decider`.
  func use(_ decider: any HeldConnectDecider, inside: Bool) {
    state.withLock { if inside { $0.inside = decider } else { $0.outside = decider } }
  }

  /// Takes held SYNs and connections from now on, on the relay's threads. Throws `DataplaneError`.
  ///
  /// SYNs that were held before, while there was no relay, are decided first. What a relay that died had not decided
  /// would be taken for pending for ever: it is forgotten, and decided anew when its caller's kernel sends the SYN again.
  func start(on relay: Relay, pinnedIn directory: String) throws {
    let ports = state.withLock { state in
      (state.relay, state.isAnothers) = (relay, false)
      return state.ports.values
    }
    let earlier = try flows.all()
    try listen(on: relay, pinnedIn: directory) { drained in
      for flow in earlier.subtracting(drained) { forget(flow) }
      for port in ports { port.begin(on: relay) }
    }
  }

  /// Takes held SYNs from now on. `begin` is told which were held before; they are decided after it.
  private func listen(
    on relay: Relay, pinnedIn directory: String, begin: ([Flow]) -> Void = { _ in }
  ) throws {
    let waiting = Mutex<[(Flow, [UInt8])]?>([])
    let held = try HeldConnects(pinnedIn: directory) { [weak self] flow, bytes in
      let waits = waiting.withLock { waiting in
        waiting?.append((flow, bytes))
        return waiting != nil
      }
      if !waits { self?.held(flow, bytes) }
    }
    held.drain()
    let drained = waiting.withLock { $0.take() } ?? []
    begin(drained.map(\.0))
    for (flow, bytes) in drained { self.held(flow, bytes) }
    let watched = relay.watch(
      held.descriptor, setPolled: { held.setPolled($0) }, { held.drain() })
    state.withLock { $0.held = watched }
  }

  /// Takes no held SYNs any more: they wait for the next relay, or for `resumeListening`.
  func stopListening() { state.withLock { $0.held = nil } }

  /// Takes them again. Throws `DataplaneError`.
  func resumeListening(pinnedIn directory: String) throws {
    if let relay { try listen(on: relay, pinnedIn: directory) }
  }

  /// Takes nothing any more, and leaves it to another relay, until `start`. Blocks for so many milliseconds at most, for
  /// what is being decided; the SYNs of what is not by then are sent again by their callers' kernels.
  func leave(within milliseconds: Int) {
    stopListening()
    // What a loop was about to hear of is being decided then.
    relay?.settle()
    let deciders = state.withLock { [$0.inside, $0.outside] }
    for _ in 0..<milliseconds where deciders.contains(where: { $0?.isDeciding == true }) {
      usleep(1000)
    }
    let ports = state.withLock { state in
      state.isAnothers = true
      return state.ports.values
    }
    for port in ports { port.end() }
    relay?.settle()
  }

  /// Closes the listening sockets, after `leave`, for good.
  func closeListeners() {
    for port in state.withLock({ $0.ports.values }) { port.closeListener() }
  }

  /// Whether what is held and accepted is another relay's.
  var isAnothers: Bool { state.withLock(\.isAnothers) }

  /// Lets everything go.
  func stop() { state.withLock { $0 = State() } }

  /// Takes up a deployment's fabric, once, or anew where it is another namespace than before; not one that another relay
  /// has taken up. Throws `SystemError`.
  func serve(_ deployment: Deployment, fabric: FabricNamespace, inode: UInt64) throws {
    if let port = state.withLock({ $0.ports[deployment.id] }), port.inode == inode,
      port.name == deployment.name
    {
      return
    }
    withdraw(deployment.id)
    guard !isAnothers else { return }
    let port = try FabricPort(
      of: deployment, fabric: fabric, inode: inode, listeners: listeners
    ) { [weak self] socket, flow in self?.accepted(socket, flow) }
    let relay = state.withLock { state in
      state.ports[deployment.id] = port
      state.names[deployment.name] = port
      return state.relay
    }
    if let relay { port.begin(on: relay) }
  }

  /// Lets the fabric of the deployment with this id go.
  func withdraw(_ id: DeploymentID) {
    let port = state.withLock { state in
      guard let port = state.ports.removeValue(forKey: id) else { return FabricPort?.none }
      if state.names[port.name] === port { state.names[port.name] = nil }
      return port
    }
    if let port { listeners.forget(port.listenerName) }
  }

  /// The port in the fabric of a deployment; nil where that is not served.
  func port(of deployment: DeploymentID) -> FabricPort? { state.withLock { $0.ports[deployment] } }

  /// The port in the fabric of the deployment of this name.
  func port(named name: DeploymentName) -> FabricPort? { state.withLock { $0.names[name] } }

  private func decider(of flow: Flow) -> (any HeldConnectDecider)? {
    state.withLock { plan.contains(flow.destination) ? $0.inside : $0.outside }
  }

  private func held(_ flow: Flow, _ bytes: [UInt8]) {
    guard var frame = HeldFrame(bytes) else { return forget(flow) }
    frame.completeChecksum()
    guard let decider = decider(of: flow) else { return refuse(flow, frame, ECONNREFUSED) }
    decider.held(flow, frame)
  }

  private func accepted(_ socket: consuming OwnedDescriptor, _ flow: Flow) {
    // Without anybody who decided on it, it is closed at once, with RST.
    guard let decider = decider(of: flow) else { return }
    decider.accepted(socket, flow)
  }

  // MARK: What becomes of a held SYN

  /// Has connect() fail with ECONNREFUSED, ENETUNREACH, or, for any other errno, with EHOSTUNREACH.
  func refuse(_ flow: Flow, _ frame: HeldFrame, _ errno: Int32) {
    guard !isAnothers else { return }
    forget(flow)
    let port = port(of: flow.deployment)
    do {
      switch errno {
      case ECONNREFUSED: try port?.play(frame)
      case ENETUNREACH: try port?.reportUnreachable(frame, .network, to: flow.source)
      default: try port?.reportUnreachable(frame, .host, to: flow.source)
      }
    } catch {
      logger.error("cannot refuse a connect of \(flow.source): \(error)")
    }
  }

  /// Leaves the SYN without an answer; when the caller's kernel sends it again it is held and decided on anew.
  func forget(_ flow: Flow) {
    guard !isAnothers else { return }
    do { try flows.forget(flow) } catch { logger.error("\(error)") }
  }

  /// Whether the caller still waits; so it seems where that cannot be told.
  func isAwaited(_ flow: Flow) -> Bool {
    guard !isAnothers else { return false }
    do { return try flows.isAwaited(flow) } catch {
      logger.error("\(error)")
      return true
    }
  }
}

/// Connections that the far end has accepted, until their callers are connected here.
final class AcceptedConnects<Connection: Sendable>: Sendable {
  private let flows: FlowTable
  private let ports: FabricPorts
  private let queue: DispatchQueue
  private let state = Mutex(State())

  private struct State {
    var pending: [Flow: Pending] = [:]
    /// How many there were.
    var count: UInt64 = 0
    /// The numbers of those that were pending a while ago, where they are looked at for those that never connect.
    var overdue: [Flow: UInt64]?
  }

  private struct Pending {
    let connection: Connection
    /// Of all connections, since a program may use a flow again at once.
    let number: UInt64
  }

  init(flows: FlowTable, ports: FabricPorts, queue: DispatchQueue) {
    (self.flows, self.ports, self.queue) = (flows, ports, queue)
  }

  /// Lets all go.
  func stop() { state.withLock { $0 = State() } }

  /// Lets the held SYN through, so that the caller connects; `take` gives what it is to be joined with. What is never
  /// taken is let go.
  func complete(_ flow: Flow, _ frame: HeldFrame, with connection: Connection) {
    // Of another relay by now, which asks again.
    guard !ports.isAnothers else { return }
    state.withLock { state in
      state.count += 1
      state.pending[flow] = Pending(connection: connection, number: state.count)
    }
    let port = ports.port(of: flow.deployment)
    do {
      try flows.accept(flow)
      try port?.play(frame)
    } catch {
      ports.logger.error("cannot complete a connect of \(flow.source): \(error)")
    }
    // As a rule the caller is connected by now: the kernel does all of it as the SYN is played.
    port?.acceptOne()
    if !endIfAbandoned(flow) {
      queue.asyncAfter(deadline: .now() + 0.1) { [weak self] in _ = self?.endIfAbandoned(flow) }
    }
    forgetOverdue()
  }

  /// Whether a caller is to connect still.
  var isAwaiting: Bool { state.withLock { !$0.pending.isEmpty } }

  /// What a caller that connects is to be joined with; nil where nobody decided on it.
  func take(_ flow: Flow) -> Connection? {
    let pending = state.withLock { $0.pending.removeValue(forKey: flow) }
    ports.forget(flow)
    return pending?.connection
  }

  /// Lets a connection go, and so resets it, whose caller has closed its socket meanwhile; false where the caller may
  /// still connect.
  private func endIfAbandoned(_ flow: Flow) -> Bool {
    guard state.withLock({ $0.pending[flow] }) != nil else { return true }
    do {
      guard try flows.outcome(of: flow) == .abandoned else { return false }
    } catch {
      ports.logger.error("\(error)")
      return false
    }
    _ = take(flow)
    return true
  }

  /// Forgets those whose callers gave up meanwhile, and never connect; they are reset as they are let go.
  private func forgetOverdue() {
    let begins = state.withLock { state in
      guard state.overdue == nil, !state.pending.isEmpty else { return false }
      state.overdue = state.pending.mapValues(\.number)
      return true
    }
    guard begins else { return }
    queue.asyncAfter(deadline: .now() + 15) { [weak self] in
      guard let self else { return }
      let given = state.withLock { state in
        let overdue = state.overdue.take() ?? [:]
        let given = overdue.filter { state.pending[$0.key]?.number == $0.value }.map(\.key)
        for flow in given { state.pending[flow] = nil }
        return given
      }
      for flow in given { ports.forget(flow) }
      forgetOverdue()
    }
  }
}
