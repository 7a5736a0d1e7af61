import Dataplane
import Dispatch
import Fabric
import Glibc
import LinuxSystem
import Logging
import Model
import NameResolution
import Relay
import RelayControl
import Synchronization
import SystemPackage

/// Connections to outside of instances that have no other interface: the switch holds a SYN that an egress rule
/// allows; this connects from the host's network namespace, where the host's own routes and firewall decide, and only
/// when that is accepted lets the SYN through to the relay's socket, and has both joined.
///
/// The rules are asked once more here, and addresses that are no host's outside are refused whatever they say.
final class OutsideConnects: HeldConnectDecider {
  /// What is held of one service's rules.
  private struct Rules {
    /// Those of one address.
    var hosts: Set<AllowedNetwork> = []
    var wide: [AllowedNetwork] = []

    init(_ networks: Set<AllowedNetwork>) {
      for network in networks {
        if network.network.prefixLength == 32 {
          hosts.insert(network)
        } else {
          wide.append(network)
        }
      }
    }

    func allow(_ address: IPv4Address, _ port: PortNumber) -> Bool {
      let host = IPv4Network(address)
      return hosts.contains(AllowedNetwork(host, port: port))
        || hosts.contains(AllowedNetwork(host, port: nil))
        || wide.contains { $0.allows(address, port: port.rawValue) }
    }
  }

  /// What an instance has.
  private struct Holding {
    var undecided = 0
    var connections = 0
  }

  private struct State {
    var rules: [DeploymentID: [ServiceNumber: Rules]] = [:]
    var holdings: [Identity: Holding] = [:]
    /// Of all instances.
    var all = Holding()
    /// Connections that there were.
    var total = 0
    /// How many refusals are told in this second, and when that began.
    var told = (count: 0, since: ContinuousClock.now)
  }

  private let flows: FlowTable
  private let plan: AddressPlan
  private let ports: FabricPorts
  private let objections: AddressObjections
  /// Tells somebody that a flow was denied.
  private let denied: @Sendable (Flow) -> Void
  private let logger: Logger
  private let mostConnections: Int
  private let mostPerInstance: Int
  private let dialing = DispatchQueue(label: "istbpf.outside")
  private let connects: AcceptedConnects<Outside>
  private let state = Mutex(State())

  /// Connects of one instance that may be under way at once: the SYNs of further ones are dropped, and sent again by
  /// its kernel.
  static let undecidedPerInstance = 256
  /// How long a connect may take: longer than the kernel that connects, and the caller's, one of which gives up first.
  private static let patience = Duration.seconds(180)
  /// How many refusals are told in a second.
  private static let toldPerSecond = 64

  /// What of so many descriptors is for these connections.
  static func descriptors(of all: Int) -> Int {
    min(RelayConfiguration.descriptorsWantedOutside, all / 4)
  }

  /// Decides on what `ports` is told of; an instance may have `mostPerInstance` connections. `denied` is called on an
  /// event loop's thread, and must not block.
  init(
    flows: FlowTable, plan: AddressPlan, ports: FabricPorts, objections: AddressObjections,
    mostPerInstance: Int, logger: Logger, denied: @escaping @Sendable (Flow) -> Void
  ) {
    (self.flows, self.plan, self.ports) = (flows, plan, ports)
    (self.objections, self.denied, self.logger) = (objections, denied, logger)
    let descriptors = DescriptorLimit.raise(to: RelayConfiguration.descriptorsWanted)
    mostConnections = max(
      16, Self.descriptors(of: descriptors) / RelayConfiguration.descriptorsPerConnectionOutside)
    self.mostPerInstance = min(mostPerInstance, mostConnections)
    connects = AcceptedConnects(flows: flows, ports: ports, queue: dialing)
    ports.use(self, inside: false)
  }

  /// Lets a service connect to `networks` and nowhere else from now on.
  func allow(
    _ networks: Set<AllowedNetwork>, of service: ServiceNumber, in deployment: DeploymentID
  ) {
    state.withLock {
      $0.rules[deployment, default: [:]][service] = networks.isEmpty ? nil : Rules(networks)
      if $0.rules[deployment]?.isEmpty == true { $0.rules[deployment] = nil }
    }
  }

  /// Lets the services of a deployment but these connect nowhere from now on.
  func forget(in deployment: DeploymentID, except services: Set<ServiceNumber>) {
    state.withLock {
      let kept = $0.rules[deployment]?.filter { services.contains($0.key) } ?? [:]
      $0.rules[deployment] = kept.isEmpty ? nil : kept
    }
  }

  /// How many connections each instance has that has some.
  var connections: [Identity: Int] {
    state.withLock { $0.holdings.mapValues(\.connections).filter { $0.value > 0 } }
  }

  /// How many connections there are, and how many there were in all.
  var counts: (live: Int, total: Int) { state.withLock { ($0.all.connections, $0.total) } }

  /// Lets everything go.
  func stop() { connects.stop() }

  // MARK: Deciding

  /// See `HeldConnectDecider`.
  func held(_ flow: Flow, _ frame: HeldFrame) {
    guard let port = try? PortNumber(Int(flow.destinationPort)), let relay = ports.relay,
      isAllowed(flow, port)
    else {
      // The rule went since the switch let the SYN pass, or comes in a moment.
      return ports.refuse(flow, frame, ECONNREFUSED)
    }
    if let objection = objections.objection(toConnectingTo: flow.destination) {
      deny(flow, objection)
      return ports.refuse(flow, frame, EHOSTUNREACH)
    }
    switch admit(flow) {
    case .later: ports.forget(flow)
    case .full(let bound):
      logger.warning("\(flow.source) of deployment \(flow.deployment) has \(bound)")
      ports.refuse(flow, frame, EHOSTUNREACH)
    case .admitted(let place):
      relay.dial(
        flow.destination, port: port, timeout: Self.patience,
        isWanted: { [ports] in ports.isAwaited(flow) }
      ) { [self] result in
        switch result {
        case .success(let connection):
          // The rule may have gone meanwhile.
          guard isAllowed(flow, port) else { return ports.refuse(flow, frame, ECONNREFUSED) }
          place.connected()
          connects.complete(flow, frame, with: Outside(connection: connection, place: place))
        case .failure(let error): fail(flow, frame, error)
        }
      }
    }
  }

  /// See `HeldConnectDecider`.
  func accepted(_ socket: consuming OwnedDescriptor, _ flow: Flow) {
    // Without a connection nobody decided on this one: it is closed at once.
    guard let outside = connects.take(flow), let relay = ports.relay,
      let deployment = ports.port(of: flow.deployment)?.name
    else { return }
    let place = outside.place
    relay.join(
      socket, to: outside.connection, of: deployment, holder: place.instance.number
    ) { place.leave() }
  }

  /// See `HeldConnectDecider`.
  var isDeciding: Bool { state.withLock { $0.all.undecided > 0 } || connects.isAwaiting }

  /// A connection that another relay has passed on begins here, or has ended; `number` is its instance's.
  func inherited(_ number: UInt64, hasEnded: Bool) {
    change(Identity(number: number), undecided: 0, connections: hasEnded ? -1 : 1)
  }

  private func isAllowed(_ flow: Flow, _ port: PortNumber) -> Bool {
    guard let place = plan.place(of: flow.source) else { return false }
    return state.withLock {
      $0.rules[flow.deployment]?[place.service]?.allow(flow.destination, port) ?? false
    }
  }

  private func deny(_ flow: Flow, _ objection: String) {
    logger.warning(
      "\(flow.source) of deployment \(flow.deployment) is not connected to \(flow.destination): \(objection)"
    )
    do { try flows.countDenial(of: flow, .egressRefused, plan: plan) } catch {
      logger.error("\(error)")
    }
    let isTold = state.withLock { state in
      if .now - state.told.since > .seconds(1) { state.told = (0, .now) }
      state.told.count += 1
      return state.told.count <= Self.toldPerSecond
    }
    if isTold { denied(flow) }
  }

  private func fail(_ flow: Flow, _ frame: HeldFrame, _ error: Errno) {
    switch error {
    case .connectionRefused, .networkUnreachable: ports.refuse(flow, frame, error.rawValue)
    // The SYNs were not answered, or the caller has gone: its own may go on, and are not answered.
    case .timedOut: ports.forget(flow)
    case .noRouteToHost, .hostIsDown: ports.refuse(flow, frame, EHOSTUNREACH)
    default:
      logger.warning("cannot connect to \(flow.destination) for \(flow.source): \(error)")
      ports.refuse(flow, frame, EHOSTUNREACH)
    }
  }

  // MARK: Bounds

  private enum Admission {
    case admitted(Place)
    case later
    case full(String)
  }

  private func admit(_ flow: Flow) -> Admission {
    state.withLock { state in
      let own = state.holdings[flow.caller] ?? Holding()
      guard own.undecided < Self.undecidedPerInstance else { return .later }
      guard own.connections + own.undecided < mostPerInstance else {
        return .full("\(mostPerInstance) connections to outside, the most of an instance")
      }
      guard state.all.undecided + state.all.connections < mostConnections else {
        return .full("no room: all instances have \(mostConnections) connections to outside")
      }
      state.holdings[flow.caller, default: Holding()].undecided += 1
      state.all.undecided += 1
      return .admitted(Place(flow.caller, self))
    }
  }

  private func change(_ instance: Identity, undecided: Int, connections: Int) {
    state.withLock { state in
      var own = state.holdings[instance] ?? Holding()
      own.undecided += undecided
      own.connections += connections
      state.all.undecided += undecided
      state.all.connections += connections
      state.total += max(0, connections)
      state.holdings[instance] = own.undecided + own.connections > 0 ? own : nil
    }
  }

  /// A connection of an instance, from its SYN to its end.
  private final class Place: Sendable {
    private enum Stage { case undecided, connected, left }

    let instance: Identity
    private let owner: OutsideConnects
    private let stage = Mutex(Stage.undecided)

    init(_ instance: Identity, _ owner: OutsideConnects) {
      (self.instance, self.owner) = (instance, owner)
    }

    deinit { leave() }

    func connected() { move(to: .connected) }

    func leave() { move(to: .left) }

    private func move(to new: Stage) {
      let old = stage.withLock { stage in
        defer { stage = stage == .left ? .left : new }
        return stage
      }
      switch (old, new) {
      case (.undecided, .connected): owner.change(instance, undecided: -1, connections: 1)
      case (.undecided, .left): owner.change(instance, undecided: -1, connections: 0)
      case (.connected, .left): owner.change(instance, undecided: 0, connections: -1)
      default: break
      }
    }
  }

  /// A connection that the host outside has accepted.
  private struct Outside: Sendable {
    let connection: RelayConnection
    let place: Place
  }
}

extension Identity {
  /// It as a number, for another relay of this runner.
  fileprivate var number: UInt64 { UInt64(deployment.rawValue) << 32 | UInt64(address.rawValue) }

  fileprivate init(number: UInt64) {
    self.init(
      deployment: DeploymentID(truncatingIfNeeded: number >> 32),
      address: IPv4Address(UInt32(truncatingIfNeeded: number)))
  }
}
