import Dataplane
import Dispatch
import Fabric
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import RelayControl
import Synchronization
import Tunnel

/// Connections between instances of this runner and of others.
///
/// Outgoing: the switch holds a SYN; this opens a stream to the runner that has the instance, and only
/// when that has accepted lets the SYN through to the relay's socket, which is joined to the stream.
/// Incoming: this decides whether the claim of a stream holds, and makes the socket that connects in
/// the caller's name.
final class RemoteConnects: HeldConnectDecider {
  private let ports: FabricPorts
  /// Where every instance is.
  private let directory: InstanceDirectory
  private let logger: Logger
  private let dialing = DispatchQueue(label: "istbpf.dial", attributes: .concurrent)
  private let state = Mutex(State())
  private let silent = SilentRunners()
  /// How long connects took that other runners accepted, and those that were refused.
  let accepted = DurationHistogram.ofConnects()
  let refused = DurationHistogram.ofConnects()
  private let connects: AcceptedConnects<RelayStream>
  private let plan: AddressPlan
  /// What becomes of a stream on which another runner has a question.
  private let ask:
    @Sendable (
      _ runner: String, _ deployment: DeploymentName, @escaping @Sendable (StreamDecision) -> Void
    ) -> Void

  private struct State {
    /// Held SYNs that are being decided, by caller.
    var undecided: [Identity: Int] = [:]
    /// When each of them was held.
    var begun: [Flow: ContinuousClock.Instant] = [:]
  }

  /// SYNs of one caller that may be undecided at once: further ones are sent again by its kernel.
  private static let undecidedPerCaller = 1024
  /// Instances that are tried for one connect.
  private static let attempts = 4
  /// How long one instance's runner may take to be reached, and an instance to accept while there are others
  /// to be tried.
  private static let patience = Duration.seconds(5)
  /// How long the last one may take to accept: longer than its runner's kernel (tcp_syn_retries) and the
  /// caller's, one of which gives up first.
  private static let lastPatience = Duration.seconds(180)
  /// The pause after a round in which no runner was heard of, in seconds.
  private static let pause = 0.5
  /// How long a far runner may know of an instance before this one does.
  private static let propagation = (interval: 0.05, attempts: 20)

  /// Decides on what `ports` is told of; `ask` is called on a thread that may block, and calls back once.
  init(
    flows: FlowTable, plan: AddressPlan, ports: FabricPorts, directory: InstanceDirectory,
    logger: Logger,
    ask:
      @escaping @Sendable (
        _ runner: String, _ deployment: DeploymentName,
        _ reply: @escaping @Sendable (StreamDecision) -> Void
      ) -> Void
  ) {
    (self.ports, self.directory, self.plan) = (ports, directory, plan)
    (self.logger, self.ask) = (logger, ask)
    connects = AcceptedConnects(flows: flows, ports: ports, queue: dialing)
    ports.use(self, inside: true)
  }

  /// Lets everything go.
  func stop() {
    state.withLock { $0 = State() }
    connects.stop()
  }

  /// See `HeldConnectDecider`.
  var isDeciding: Bool { state.withLock { !$0.undecided.isEmpty } || connects.isAwaiting }

  // MARK: Outgoing

  /// See `HeldConnectDecider`.
  func held(_ flow: Flow, _ frame: HeldFrame) {
    let isAdmitted = state.withLock { state in
      guard state.undecided[flow.caller, default: 0] < Self.undecidedPerCaller else { return false }
      state.undecided[flow.caller, default: 0] += 1
      state.begun[flow] = .now
      return true
    }
    guard isAdmitted else { return ports.forget(flow) }
    attempt(flow, frame, until: .now + Self.lastPatience, otherwise: Self.noInstance)
  }

  /// Asks the instances that may take it, those that are known now, one after the other.
  private func attempt(
    _ flow: Flow, _ frame: HeldFrame, until: ContinuousClock.Instant,
    otherwise refusal: StreamRefusal
  ) {
    guard
      let (deployment, candidates) = directory.candidates(
        for: flow.destination, in: flow.deployment)
    else {
      return refuse(flow, frame, refusal)
    }
    let round = Round(flow: flow, frame: frame, deployment: deployment, until: until)
    attempt(silent.last(candidates), atMost: Self.attempts, of: round, refusal)
  }

  /// What is asked of one instance after the other.
  private struct Round {
    let flow: Flow
    let frame: HeldFrame
    let deployment: DeploymentName
    /// How long there may be others after it.
    let until: ContinuousClock.Instant
  }

  private func attempt(
    _ candidates: [InstanceDirectory.Candidate], atMost attempts: Int, of round: Round,
    _ last: StreamRefusal
  ) {
    let (flow, frame, others) = (round.flow, round.frame, candidates.dropFirst())
    guard attempts > 0, let candidate = candidates.first,
      let port = try? PortNumber(Int(flow.destinationPort)),
      let relay = ports.relay
    else { return exhausted(round, last) }
    guard let peer = candidate.peer else {
      return attempt(
        Array(others), atMost: attempts - 1, of: round,
        last.isReached || last.isSilence ? last : Self.noRunner)
    }
    let request = StreamRequest(
      deployment: round.deployment, source: flow.source, destination: candidate.address, port: port,
      sourcePort: try? PortNumber(Int(flow.sourcePort)), typeOfService: frame.typeOfService)
    let isLast = attempts == 1 || others.isEmpty
    relay.open(
      request, to: peer, timeout: Self.patience,
      answerTimeout: isLast ? Self.lastPatience : Self.patience,
      isWanted: { [ports] in ports.isAwaited(flow) }
    ) { [self] result in
      switch result {
      case .success(let stream):
        silent.note(peer, isReached: true)
        accept(flow, frame, stream)
      case .failure(let refusal):
        silent.note(peer, isReached: refusal.isReached)
        guard ports.isAwaited(flow) else { return refuse(flow, frame, refusal) }
        // Where one answered, that is the answer.
        let isNews = !refusal.isSilence || !last.isReached
        attempt(
          silent.last(others), atMost: attempts - 1, of: round, isNews ? refusal : last)
      }
    }
  }

  /// No instance took it. Where nothing came from their runners although these are registered, the network may be
  /// cut: as on a plain one, the caller waits until its own kernel gives up, and is connected once it is mended.
  private func exhausted(_ round: Round, _ last: StreamRefusal) {
    guard last.isSilence, .now < round.until else { return refuse(round.flow, round.frame, last) }
    dialing.asyncAfter(deadline: .now() + Self.pause) { [self] in
      guard ports.isAwaited(round.flow) else { return refuse(round.flow, round.frame, last) }
      attempt(
        round.flow, round.frame, until: round.until,
        otherwise: StreamRefusal(errno: EHOSTUNREACH, cause: last.cause))
    }
  }

  private func accept(_ flow: Flow, _ frame: HeldFrame, _ stream: RelayStream) {
    decided(flow, accepted)
    connects.complete(flow, frame, with: stream)
  }

  private static let noInstance = StreamRefusal(
    errno: ECONNREFUSED, cause: "no other runner has one")
  private static let noRunner = StreamRefusal(errno: EHOSTUNREACH, cause: "its runner is not there")

  private func refuse(_ flow: Flow, _ frame: HeldFrame, _ refusal: StreamRefusal) {
    decided(flow, refused)
    switch refusal.errno {
    // The far kernel's SYNs were not answered, or the caller has gone: its own may go on, and are not answered.
    case ETIMEDOUT where refusal.isReached: ports.forget(flow)
    case ECONNREFUSED: ports.refuse(flow, frame, ECONNREFUSED)
    case _ where refusal.isSilence: ports.forget(flow)
    default: ports.refuse(flow, frame, EHOSTUNREACH)
    }
  }

  private func decided(_ flow: Flow, _ durations: DurationHistogram) {
    state.withLock { state in
      if let begin = state.begun.removeValue(forKey: flow) { durations.observe(.now - begin) }
      let count = state.undecided[flow.caller, default: 1] - 1
      state.undecided[flow.caller] = count > 0 ? count : nil
    }
  }

  /// See `HeldConnectDecider`.
  func accepted(_ socket: consuming OwnedDescriptor, _ flow: Flow) {
    // Without a stream nobody decided on this connection: it is closed at once.
    guard let stream = connects.take(flow), let relay = ports.relay else { return }
    relay.join(socket, to: stream)
  }

  // MARK: Incoming

  /// Decides on a stream that another runner asks for; called on an event loop's thread.
  func authorize(
    _ stream: IncomingStream, _ reply: @escaping @Sendable (StreamDecision) -> Void
  ) {
    decide(on: stream, attempts: Self.propagation.attempts, reply)
  }

  private func decide(
    on stream: IncomingStream, attempts: Int,
    _ reply: @escaping @Sendable (StreamDecision) -> Void
  ) {
    if let objection = directory.objection(to: stream) {
      // The other runner may have heard of its new instance first.
      guard attempts > 0 else {
        logger.warning("refused a stream of runner \(stream.runner.name): \(objection)")
        // A runner of an older version says EHOSTUNREACH to any question.
        return reply(.refuse(stream.request.isQuestion(plan) ? EACCES : EHOSTUNREACH))
      }
      dialing.asyncAfter(deadline: .now() + Self.propagation.interval) { [self] in
        decide(on: stream, attempts: attempts - 1, reply)
      }
      return
    }
    guard stream.request.isQuestion(plan) else { return dial(stream.request, reply) }
    dialing.async { [ask] in ask(stream.runner.name, stream.request.deployment, reply) }
  }

  private func dial(
    _ request: StreamRequest, _ reply: @escaping @Sendable (StreamDecision) -> Void
  ) {
    guard let port = ports.port(named: request.deployment) else {
      return reply(.refuse(ECONNREFUSED))
    }
    do {
      if let socket = try port.readySocket(as: request.source, port: request.sourcePort) {
        return reply(dial(request, by: socket, of: port))
      }
    } catch {
      return reply(cannotDial(request, error))
    }
    dialing.async { [self] in
      do {
        let socket = try port.socket(as: request.source, port: request.sourcePort)
        reply(dial(request, by: socket, of: port))
      } catch {
        reply(cannotDial(request, error))
      }
    }
  }

  private func dial(
    _ request: StreamRequest, by socket: consuming OwnedDescriptor, of port: FabricPort
  ) -> StreamDecision {
    TransparentSocket.setTypeOfService(request.typeOfService, of: socket)
    return .dial(
      DialInstruction(socket: socket, destination: request.destination, port: request.port) {
        [dialing, logger] give in
        dialing.async {
          do {
            let another = try port.socket(as: request.source, port: nil)
            TransparentSocket.setTypeOfService(request.typeOfService, of: another)
            give(DescriptorHandoff(another))
          } catch {
            logger.error("cannot connect for \(request.source): \(error)")
            give(nil)
          }
        }
      })
  }

  private func cannotDial(_ request: StreamRequest, _ error: any Error) -> StreamDecision {
    logger.error("cannot connect for \(request.source): \(error)")
    return .refuse(EHOSTUNREACH)
  }
}

extension Flow {
  /// The instance that connects.
  var caller: Identity { Identity(deployment: deployment, address: source) }
}
