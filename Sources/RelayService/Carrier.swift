import Dataplane
import Fabric
import Glibc
import HandOver
import LinuxSystem
import Logging
import Model
import NameResolution
import Relay
import RelayControl
import Synchronization
import Tunnel

/// What a relay process is, put together from its settings: the connections with other runners, those to outside, and
/// the front door's requests.
final class Carrier: Sendable {
  private let plan: AddressPlan
  private let pins: String
  private let directory: InstanceDirectory
  private let objections: AddressObjections
  private let ports: FabricPorts
  private let outside: OutsideConnects
  private let relay: Relay
  /// Nil on a runner that is alone, as is `ready`.
  private let member: Member?
  private let ready: ReadyTunnels?
  /// Nil where there is no front door.
  private let services: PublicServices?
  private let fabrics: FabricNames
  private let listeners: ListenerStore
  private let state: Mutex<State>

  /// What a runner has beyond one that is alone.
  private struct Member: Sendable {
    let identity: RunnerIdentity
    let remote: RemoteConnects
    let kernelTLS: KernelTLS
    /// What the socket on which tunnels are taken is kept as.
    let listenerName: String
    /// That socket, until `start`.
    let tunnels: DescriptorHandoff
  }

  private struct State {
    var settings: Istbpf_Relay_V1_Settings
    /// Follows the files that say who this runner is.
    var following: Task<Void, Never>?
  }

  /// Whom it tells and asks.
  struct Callbacks: Sendable {
    /// Called with a flow that was denied; must not block.
    let denied: @Sendable (Flow) -> Void
    /// Asked what becomes of a stream on which another runner has a question about a deployment; calls back once.
    let ask:
      @Sendable (
        _ runner: String, _ deployment: DeploymentName,
        _ reply: @escaping @Sendable (StreamDecision) -> Void
      ) -> Void
  }

  /// How long streams may go on after the process was told to end.
  private static let grace = Duration.seconds(1)

  /// Takes no connections before `start`. Throws what is wrong with the settings or the files that they name.
  init(
    _ settings: Istbpf_Relay_V1_Settings, listeners: ListenerStore, callbacks: Callbacks,
    logger: Logger
  ) throws {
    guard let plan = AddressPlan(cidr: settings.range) else {
      throw ConfigurationProblem(key: "range", problem: "\(settings.range) is no range")
    }
    state = Mutex(State(settings: settings))
    (self.plan, self.listeners, pins) = (plan, listeners, settings.pins)
    let flows = try FlowTable(pinnedIn: settings.pins)
    directory = InstanceDirectory(
      plan: plan, cluster: settings.hasCluster ? settings.cluster.name : nil, own: settings.runner)
    objections = AddressObjections(plan: plan)
    fabrics = FabricNames(prefix: settings.fabricPrefix, plan: plan)
    let ports = FabricPorts(flows: flows, plan: plan, listeners: listeners, logger: logger)
    self.ports = ports
    outside = OutsideConnects(
      flows: flows, plan: plan, ports: ports, objections: objections,
      mostPerInstance: Int(settings.outsideConnections), logger: logger, denied: callbacks.denied)
    do {
      if settings.hasCluster {
        let remote = RemoteConnects(
          flows: flows, plan: plan, ports: ports, directory: directory, logger: logger,
          ask: callbacks.ask)
        let member = try Self.member(settings, remote, listeners, logger)
        self.member = member
        relay = try Relay(
          configuration: Self.relayConfiguration(settings.cluster, logger),
          identities: member.identity.identities,
          authorize: { stream, reply in remote.authorize(stream, reply) },
          observe: { event in logger.log(event) })
        ready = ReadyTunnels(by: directory, on: relay)
      } else {
        (member, ready) = (nil, nil)
        relay = try Relay.withoutTunnels()
      }
      services =
        settings.frontDoor.isEmpty
        ? nil
        : try PublicServices(
          relay: relay, directory: directory, fabrics: fabrics, listeners: listeners,
          sockets: settings.frontDoor, logger: logger)
    } catch {
      // They and those who decide hold each other.
      ports.stop()
      throw error
    }
  }

  private static func member(
    _ settings: Istbpf_Relay_V1_Settings, _ remote: RemoteConnects, _ listeners: ListenerStore,
    _ logger: Logger
  ) throws -> Member {
    let cluster = settings.cluster
    guard let name = RunnerIdentifier(cluster: cluster.name, name: settings.runner) else {
      throw ConfigurationProblem(
        key: "cluster",
        problem: "\(cluster.name) and runner \(settings.runner) cannot stand in a certificate")
    }
    let identity = try RunnerIdentity(cluster.files, of: name, logger: logger)
    let kernelTLS =
      cluster.usesKernelTls
      ? KernelTLS.probe() : .unavailable("the configuration says so (tunnel.kernelTLS)")
    let listenerName = "tunnels \(cluster.address)"
    let listener = try listeners.take(listenerName) {
      guard let address = SocketAddress(cluster.address) else {
        throw ConfigurationProblem(
          key: "tunnel.address", problem: "\(cluster.address) is no IP address with a port")
      }
      return try TunnelListener.make(at: address)
    }
    switch kernelTLS {
    case .available: logger.info("the kernel encrypts tunnels")
    case .unavailable(let reason):
      logger.notice(
        "istbpf-relay encrypts tunnels, in user space, since the kernel does not: \(reason)")
    }
    return Member(
      identity: identity, remote: remote, kernelTLS: kernelTLS, listenerName: listenerName,
      tunnels: DescriptorHandoff(listener))
  }

  /// As much as this process may have descriptors for.
  private static func relayConfiguration(
    _ cluster: Istbpf_Relay_V1_Settings.Cluster, _ logger: Logger
  ) -> RelayConfiguration {
    var configuration = RelayConfiguration()
    configuration.usesKernelTLS = cluster.usesKernelTls
    let (wanted, most) = (RelayConfiguration.descriptorsWanted, configuration.maximumTunnels)
    let descriptors = DescriptorLimit.raise(to: wanted)
    configuration.fit(descriptors: descriptors - OutsideConnects.descriptors(of: descriptors))
    if configuration.maximumTunnels < most {
      logger.warning(
        """
        only \(configuration.maximumTunnels) connections with other runners at once, not \(most): \
        istbpf-relay may have \(descriptors) descriptors (RLIMIT_NOFILE), and needs \(wanted) for all
        """)
    }
    return configuration
  }

  // MARK: Life

  /// Takes connections from now on; to be called once, when all was told. Throws `DataplaneError`.
  func start() throws {
    listeners.closeUnused()
    relay.expectTakeOver(within: Self.takenOverWithin)
    try ports.start(on: relay, pinnedIn: pins)
    guard let member else { return }
    if let socket = member.tunnels.take() { relay.listen(on: socket) }
    let following = Task { [relay] in await member.identity.follow(for: relay) }
    state.withLock { $0.following = following }
    ready?.start()
  }

  /// Whether it carries nothing, nor is asked to; then it decides on no connect any more, for whoever stops it now. Blocks
  /// for a moment. Throws `DataplaneError` where it carries something, and cannot go on to decide.
  func restIfIdle() throws -> Bool {
    guard isIdle else { return false }
    ports.stopListening()
    // For what an event loop is deciding on just now.
    relay.settle()
    if isIdle { return true }
    try ports.resumeListening(pinnedIn: pins)
    return false
  }

  /// Whether it carries no connection, and is asked for none by this runner's instances.
  var isIdle: Bool { relay.isIdle && outside.counts.live == 0 }

  // MARK: Another relay

  /// How soon after the start istbpfd says to take over from another relay, at the latest.
  private static let takenOverWithin = Duration.seconds(10)
  /// How long connects may take, in milliseconds, that were begun before another relay takes all that come.
  private static let decidedWithin = 300

  /// Takes nothing any more: another relay does. What there is goes on. Blocks for less than a second.
  func leave() {
    ready?.stop()
    ports.leave(within: Self.decidedWithin)
    relay.stopListening()
    services?.leave()
  }

  /// Closes what it listened on before `leave`, for good: kept open here, it would be in the way of a relay that has to
  /// make its own, as where istbpfd and the next one have both ended.
  func closeListeners() {
    ports.closeListeners()
    listeners.closeAll()
  }

  /// Takes everything again, since no other relay does, with the front door's requests for `message`. Throws what it cannot
  /// take; it has the rest then.
  func takeAgain(_ message: Istbpf_Relay_V1_PublicServices) throws {
    let results = [
      Result { try ports.start(on: relay, pinnedIn: pins) }, Result { try listenAgain() },
      Result { try services?.open(message.services.map(PublicRoute.init)) ?? () },
    ]
    for result in results { try result.get() }
  }

  private func listenAgain() throws {
    guard let member else { return }
    relay.listen(
      on: try listeners.take(member.listenerName) {
        throw SystemError(.noSuchFileOrDirectory, "take again", member.listenerName)
      })
    ready?.start()
  }

  /// Lets other runners ask for nothing more: it is not told any more what there is.
  func retire() { relay.retire(true) }

  /// Lets them ask again.
  func unretire() { relay.retire(false) }

  /// Whether a request of the front door looks for an instance.
  var isServing: Bool { services?.isServing ?? false }

  /// Passes on all that it carries to another relay; see `Relay.handOver`.
  func handOver(
    on channel: HandOverChannel, while goesOn: (_ left: Int) -> Bool
  ) throws -> HandOverSummary {
    try relay.handOver(on: channel, as: Self.hello, while: goesOn)
  }

  /// Goes on with what another relay passes on; see `Relay.takeOver`. Returns how many connections and idle tunnels that
  /// were.
  func takeOver(on channel: HandOverChannel) throws -> Int {
    var count = 0
    try relay.takeOver(
      on: channel, as: Self.hello, began: { outside.inherited($0, hasEnded: false) },
      ended: { [outside] in outside.inherited($0, hasEnded: true) }, took: { count += $0 })
    return count
  }

  private static let hello = Istbpf_Handover_V1_Hello.with {
    ($0.version, $0.program) = (handOverVersion, istbpfVersion)
  }

  // MARK: The end

  /// Ends all connections. Blocks for a second at most.
  func stop() {
    state.withLock { $0.following }?.cancel()
    ready?.stop()
    ports.stopListening()
    relay.shutdown(grace: Self.grace)
    member?.remote.stop()
    outside.stop()
    ports.stop()
  }

  /// Takes over settings: files of the identity that are others. How much is logged is not its concern. Throws what is
  /// wrong with them, and then nothing has changed; `OtherSettings` where something else differs.
  func take(_ new: Istbpf_Relay_V1_Settings) throws {
    var comparable = new
    let old = state.withLock { $0.settings }
    comparable.logLevel = old.logLevel
    // What a later istbpfd says besides is nothing that this version could do otherwise.
    comparable.unknownFields = old.unknownFields
    if old.hasCluster, new.hasCluster {
      comparable.cluster.files = old.cluster.files
      comparable.cluster.unknownFields = old.cluster.unknownFields
    }
    guard comparable == old else { throw OtherSettings() }
    if new.cluster.files != old.cluster.files {
      try member?.identity.takeOver(new.cluster.files, for: relay)
    }
    state.withLock { $0.settings = new }
  }

  // MARK: What there is

  /// Takes over where runners take tunnels, and which are being emptied.
  func take(_ runners: Istbpf_Relay_V1_Runners) {
    let addresses = Dictionary(
      runners.runners.map { ($0.name, $0.address) }, uniquingKeysWith: { first, _ in first })
    directory.update(
      runners: addresses, drained: Set(runners.runners.filter(\.drained).map(\.name)))
    objections.update(addresses: addresses)
    ready?.changed()
  }

  /// Takes over what there is of a deployment. Throws where it says what cannot be, and where its fabric cannot be
  /// opened; the rest holds then.
  func take(_ message: Istbpf_Relay_V1_Deployment) throws {
    let entry = try InstanceDirectory.Entry(message)
    let rules = try message.services.map { service in
      (
        try ServiceNumber(relayed: service.number),
        Set(try service.egress.map(AllowedNetwork.init))
      )
    }
    directory.update(entry)
    ready?.changed()
    // What is allowed no more goes first.
    outside.forget(in: entry.id, except: Set(rules.map(\.0)))
    for (service, networks) in rules { outside.allow(networks, of: service, in: entry.id) }
    services?.changed(entry.name)
    guard message.fabric != 0 else { return ports.withdraw(entry.id) }
    try ports.serve(
      Deployment(name: entry.name, id: entry.id), fabric: fabrics.fabric(of: entry.name),
      inode: message.fabric)
  }

  /// The deployment with this id is no more.
  func withdraw(_ id: DeploymentID) {
    outside.forget(in: id, except: [])
    ports.withdraw(id)
    directory.remove(id)
    ready?.changed()
  }

  /// Deployments but these are no more.
  func keep(_ ids: Set<DeploymentID>) {
    for id in directory.deployments.subtracting(ids) { withdraw(id) }
  }

  /// Takes over which services the front door serves. Throws where one cannot be served; the rest are.
  func take(_ message: Istbpf_Relay_V1_PublicServices) throws {
    guard let services else { return }
    let routes = try message.services.map(PublicRoute.init)
    defer { if message.exact { services.close(allBut: routes) } }
    try services.open(routes)
  }

  // MARK: Questions

  /// How long a runner may take to be reached that is asked something.
  private static let patience = Duration.seconds(2)

  /// Asks another runner on a stream that is joined to `socket`. `completion` is called once.
  func ask(
    _ runner: String, about deployment: DeploymentName, on socket: DescriptorHandoff,
    completion: @escaping @Sendable (StreamRefusal?) -> Void
  ) {
    guard let found = directory.others(serving: deployment)[runner], let peer = found,
      let request = StreamRequest.question(about: deployment, plan)
    else {
      return completion(StreamRefusal(errno: EHOSTUNREACH, cause: "it is not there"))
    }
    relay.open(request, to: peer, timeout: Self.patience) { [relay] result in
      switch result {
      case .success(let stream):
        if let socket = socket.take() { relay.join(socket, to: stream) }
        completion(nil)
      case .failure(let refusal): completion(refusal)
      }
    }
  }

  /// Finds out whether another runner's relay answers: to a question, whatever it says. `completion` is called once.
  func probe(
    _ runner: String, about deployment: DeploymentName,
    completion: @escaping @Sendable (Bool) -> Void
  ) {
    guard let peer = directory.peer(runner),
      let request = StreamRequest.question(about: deployment, plan)
    else { return completion(false) }
    relay.open(request, to: peer, timeout: Self.patience) { result in
      switch result {
      case .success: completion(true)
      case .failure(let refusal): completion(refusal.isReached)
      }
    }
  }

  // MARK: Figures

  /// What it has done since it began, and has now.
  var statistics: Istbpf_Relay_V1_Statistics {
    var figures = Istbpf_Relay_V1_Statistics()
    figures.add(relay.counters)
    if let member {
      figures.accepted = .init(member.remote.accepted.snapshot)
      figures.refused = .init(member.remote.refused.snapshot)
      figures.certificateEnd = member.identity.certificateEnd ?? 0
      if case .unavailable(let reason) = member.kernelTLS { figures.kernelTlsProblem = reason }
    }
    let counts = outside.counts
    (figures.outsideLive, figures.outsideTotal) = (
      UInt64(clamping: counts.live), UInt64(clamping: counts.total)
    )
    figures.outside = outside.connections.map { instance, count in
      .with {
        $0.deployment = UInt32(instance.deployment)
        $0.instance = instance.address.rawValue
        $0.connections = UInt32(clamping: count)
      }
    }
    return figures
  }
}
