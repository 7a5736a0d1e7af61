import Dataplane
import Dispatch
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import RelayControl
import ServiceLog
import Synchronization

/// Does what istbpfd says, one thing after the other, and tells it what it wants to know.
final class CommandHandler: Sendable {
  private struct State {
    /// Nil before there were settings.
    var carrier: Carrier?
    /// Whether it takes connections, or did so before it passed them on.
    var isStarted = false
    /// Whether another relay takes its place.
    var isLeaving = false
    /// The deployments that istbpfd has named since its greeting.
    var named: Set<UInt32> = []
    /// Whether istbpfd has said where runners are since then.
    var hasRunners = false
    var services: [String: Istbpf_Relay_V1_PublicService] = [:]
  }

  /// Locked while a command is done.
  private let state = Mutex(State())
  private let listeners = ListenerStore()
  private let files: StateFiles
  let place: RelayPlace
  private let questions = OpenQuestions()
  private let daemon = Mutex<DescriptorChannel?>(nil)
  private let telling = DispatchQueue(label: "istbpf.relay.telling")
  private let untold = Atomic(0)
  /// How many relays pass something on to this one.
  let takingOver = Atomic(0)
  private let startedAt: Int64
  let logger: Logger
  private let threshold: LogThreshold
  let stop: @Sendable () -> Void

  /// Denials that wait to be told at most.
  private static let mostUntold = 1024

  /// Keeps what it is told in `files`; `stop` is called when the process is to end.
  init(
    files: StateFiles, place: RelayPlace, logger: Logger, threshold: LogThreshold,
    stop: @escaping @Sendable () -> Void
  ) {
    (self.files, self.place, self.stop) = (files, place, stop)
    (self.logger, self.threshold) = (logger, threshold)
    startedAt = Int64(time(nil))
  }

  // MARK: istbpfd

  /// Does what comes on `channel`, until that ends.
  func serve(_ channel: DescriptorChannel) {
    do {
      while let received = try channel.receive(Istbpf_Relay_V1_Command.self) {
        try handle(received, from: channel)
      }
    } catch {
      logger.warning("what istbpfd says cannot be heard: \(error)")
    }
    channel.end()
    let isLast = daemon.withLock { daemon in
      guard daemon === channel else { return false }
      daemon = nil
      return true
    }
    guard isLast else { return }
    listeners.tell(nil)
    questions.refuseAll(EAGAIN)
    // What changes from now on is told to the other relay alone.
    state.withLock { if $0.isLeaving { $0.carrier?.retire() } }
    resume()
  }

  /// Hears istbpfd no more.
  func endConversation() { daemon.withLock { $0 }?.end() }

  /// The istbpfd before it, if there is one still, is heard no more.
  private func greet(_ channel: DescriptorChannel, _ number: UInt64) throws {
    let before = daemon.withLock { daemon in
      defer { daemon = channel }
      return daemon
    }
    if before !== channel { before?.end() }
    state.withLock { state in
      (state.named, state.hasRunners) = ([], false)
    }
    try channel.send(
      Istbpf_Relay_V1_Report.with { ($0.number, $0.greeting) = (number, greeting) })
    listeners.tell { [logger] name, socket in
      let report = Istbpf_Relay_V1_Report.with { $0.listener.name = name }
      do { try channel.send(report, with: socket) } catch {
        logger.warning("a listening socket is not kept: \(error)")
      }
    }
  }

  private func handle(
    _ received: DescriptorChannel.Received<Istbpf_Relay_V1_Command>, from channel: DescriptorChannel
  ) throws {
    let number = received.message.number
    guard let command = received.message.command else {
      return try channel.send(
        Istbpf_Relay_V1_Report.refusing(
          number, ImpossibleMessage("a command of a newer version")))
    }
    switch command {
    case .question(let question):
      ask(question, received.descriptor) { [self] refusal in
        answer(
          refusal.map { Istbpf_Relay_V1_Report.refusing(number, $0) } ?? .done(number), on: channel)
      }
    case .probe(let probe):
      self.probe(probe) { [self] isReached in
        let refusal = StreamRefusal(errno: EHOSTUNREACH, cause: "it does not answer")
        answer(isReached ? .done(number) : .refusing(number, refusal), on: channel)
      }
    case .handOver(let order):
      try answer(number, on: channel) {
        try handOver(order, received.descriptor)
      }
    case .takeOver: try answer(number, on: channel) { try takeOver(received.descriptor) }
    case .decided(let decided): questions.decide(decided)
    case .getStatistics:
      let figures = state.withLock { $0.carrier?.statistics } ?? .init()
      try channel.send(
        Istbpf_Relay_V1_Report.with { ($0.number, $0.statistics) = (number, figures) })
    case .greeting: try greet(channel, number)
    case .listener(let listener):
      if let socket = received.descriptor?.take() { listeners.keep(listener.name, socket) }
      try channel.send(Istbpf_Relay_V1_Report.done(number))
    case .stop(let stop):
      if stop.ifIdle, try state.withLock({ $0.carrier })?.restIfIdle() == false {
        let refusal = StreamRefusal(errno: EBUSY, cause: "it carries connections")
        return try channel.send(Istbpf_Relay_V1_Report.refusing(number, refusal))
      }
      try channel.send(Istbpf_Relay_V1_Report.done(number))
      self.stop()
    default: try answer(number, on: channel) { try perform(command) }
    }
  }

  /// Does something, and says whether it is done, or what is against it.
  private func answer(
    _ number: UInt64, on channel: DescriptorChannel, _ action: () throws -> Void
  ) throws {
    let answer: Istbpf_Relay_V1_Report
    do {
      try action()
      answer = .done(number)
    } catch {
      answer = .refusing(number, error)
    }
    try channel.send(answer)
  }

  /// Answers from an event loop's thread, which an istbpfd that does not read must not hold up.
  private func answer(_ report: Istbpf_Relay_V1_Report, on channel: DescriptorChannel) {
    telling.async {
      // Where istbpfd has gone nobody waits for it.
      try? channel.send(report)
    }
  }

  private var greeting: Istbpf_Relay_V1_Greeting {
    .with {
      $0.protocol = relayProtocol
      $0.version = istbpfVersion
      $0.pid = getpid()
      $0.startedAt = startedAt
    }
  }

  // MARK: State

  /// Takes connections by what was said last, where istbpfd does not say that it has said all. Returns whether all of it
  /// could be done.
  @discardableResult
  func resume() -> Bool { state.withLock(\.isStarted) || goByFiles() }

  /// Tries again what `resume` could not do, as where the relay before had its listening sockets still; not where istbpfd
  /// is there, which says all by itself. Returns whether nothing of it is left.
  func resumeAgain() -> Bool { daemon.withLock { $0 != nil } || goByFiles() }

  private func goByFiles() -> Bool {
    // What istbpfd says meanwhile waits, so that it comes after what it said before.
    state.withLock { state in
      do {
        let commands = try files.read()
        guard !commands.isEmpty else { return true }
        logger.notice("istbpfd does not say what there is: going on by what it said last")
        var isWhole = true
        for command in commands where !isSaid(command, state) {
          do { try perform(command, &state) } catch {
            logger.error("\(error)")
            isWhole = false
            // Without them there is nothing that could do the rest.
            if case .settings = command { return false }
          }
        }
        try start(&state)
        return isWhole
      } catch {
        logger.error("cannot go on by what istbpfd said last: \(error)")
        return false
      }
    }
  }

  /// Whether istbpfd has said since its greeting what a file says.
  private func isSaid(
    _ command: Istbpf_Relay_V1_Command.OneOf_Command, _ state: borrowing State
  ) -> Bool {
    switch command {
    case .settings: state.carrier != nil
    case .runners: state.hasRunners
    case .deployment(let deployment): state.named.contains(deployment.id)
    default: false
    }
  }

  private func start(_ state: inout State) throws {
    guard let carrier = state.carrier, !state.isStarted else { return }
    try carrier.start()
    state.isStarted = true
  }

  /// Ends all connections.
  func end() { state.withLock { $0.carrier }?.stop() }

  /// Kept once it is done, and before istbpfd is told so: what it relies on outlives both processes.
  private func perform(_ command: Istbpf_Relay_V1_Command.OneOf_Command) throws {
    try state.withLock { try perform(command, &$0) }
  }

  private func perform(
    _ command: Istbpf_Relay_V1_Command.OneOf_Command, _ state: inout State
  ) throws {
    guard !state.isLeaving else { return try performLeaving(command, state.carrier) }
    if case .settings(let settings) = command { return try take(settings, &state) }
    guard let carrier = state.carrier else {
      throw ImpossibleMessage("something before the settings")
    }
    switch command {
    case .runners(let runners):
      state.hasRunners = true
      carrier.take(runners)
      try files.keep(runners)
    case .deployment(let deployment):
      state.named.insert(deployment.id)
      // Also where a part of it fails, since the rest is in effect.
      let result = Result { try carrier.take(deployment) }
      try files.keep(deployment)
      try result.get()
    case .withdrawn(let withdrawn):
      state.named.remove(withdrawn.id)
      carrier.withdraw(DeploymentID(clamping: withdrawn.id))
      try files.remove(withdrawn.id)
    case .publicServices(let services):
      if services.exact { state.services = [:] }
      for service in services.services { state.services[service.socket] = service }
      let all = state.services.values.sorted { $0.socket < $1.socket }
      let result = Result { try carrier.take(services) }
      try files.keep(Istbpf_Relay_V1_PublicServices.with { ($0.services, $0.exact) = (all, true) })
      try result.get()
    case .complete:
      carrier.keep(Set(state.named.map { DeploymentID(clamping: $0) }))
      try start(&state)
      // Those that an istbpfd has brought which had them of this process.
      listeners.closeUnused()
      try files.keepOnly(state.named)
    default: throw ImpossibleMessage("a command of a newer version")
    }
  }

  /// For those that ask for a connection on a tunnel that this one has still. The relay that takes its place is told
  /// everything as well, and keeps it in the files; where none does, this one is told everything anew.
  private func performLeaving(
    _ command: Istbpf_Relay_V1_Command.OneOf_Command, _ carrier: Carrier?
  ) throws {
    switch command {
    case .runners(let runners): carrier?.take(runners)
    case .deployment(let deployment): try carrier?.take(deployment)
    case .withdrawn(let withdrawn): carrier?.withdraw(DeploymentID(clamping: withdrawn.id))
    case .settings(let settings): try carrier?.take(settings)
    default: break
    }
  }

  private func take(_ settings: Istbpf_Relay_V1_Settings, _ state: inout State) throws {
    if let carrier = state.carrier {
      try carrier.take(settings)
    } else {
      var logger = logger
      logger[metadataKey: LogField.runner] = "\(settings.runner)"
      state.carrier = try Carrier(
        settings, listeners: listeners,
        callbacks: .init(
          denied: { [weak self] in self?.tell($0) },
          ask: { [weak self] in self?.ask($0, about: $1, reply: $2) }),
        logger: logger)
    }
    if let level = Logger.Level(rawValue: settings.logLevel), level != threshold.level {
      logger.notice("logs \(level) and above from now on")
      threshold.level = level
    }
    try files.keep(settings)
  }

  // MARK: Another relay

  /// Takes nothing any more, and leaves its place; what it carries it has still. Throws where it has no place.
  func leave() throws -> Carrier {
    try state.withLock { state in
      guard let carrier = state.carrier, state.isStarted, !state.isLeaving else {
        throw ImpossibleMessage("a hand-over by a relay that carries nothing yet, or no more")
      }
      state.isLeaving = true
      carrier.leave()
      place.leave()
      return carrier
    }
  }

  /// Takes everything again, having its place again. Throws what keeps it from that.
  func goOnAlone() throws {
    state.withLock { $0.isLeaving = false }
    // Where nobody has told this one what has changed, the other relay has kept it in the files: what is allowed no more is
    // forgotten first, and what is new is served when there is a place for it.
    let isUntold = daemon.withLock { $0 == nil }
    if isUntold { try catchUp() }
    try state.withLock { state in
      state.carrier?.unretire()
      try state.carrier?.takeAgain(.with { $0.services = Array(state.services.values) })
    }
    if isUntold { try catchUp() }
  }

  /// Goes by the files. Throws `SystemError`, or what a file has that is no message.
  private func catchUp() throws {
    state.withLock { $0.named = [] }
    for command in try files.read() {
      do { try perform(command) } catch { logger.error("\(error)") }
    }
    state.withLock { $0.carrier?.keep(Set($0.named.map { DeploymentID(clamping: $0) })) }
  }

  /// What takes connections. Throws where nothing does yet.
  func startedCarrier() throws -> Carrier {
    try state.withLock { state in
      guard let carrier = state.carrier, state.isStarted, !state.isLeaving else {
        throw ImpossibleMessage("a hand-over to a relay that takes no connections")
      }
      return carrier
    }
  }

  // MARK: Telling and asking

  /// Tells istbpfd of a denial, if there is one and it is not too slow.
  private func tell(_ flow: Flow) {
    guard untold.wrappingAdd(1, ordering: .relaxed).newValue <= Self.mostUntold else {
      untold.wrappingSubtract(1, ordering: .relaxed)
      return
    }
    telling.async { [self] in
      defer { untold.wrappingSubtract(1, ordering: .relaxed) }
      guard let channel = daemon.withLock({ $0 }) else { return }
      // It is counted in any case.
      try? channel.send(
        Istbpf_Relay_V1_Report.with {
          $0.denied.deployment = UInt32(flow.deployment)
          $0.denied.source = flow.source.rawValue
          $0.denied.destination = flow.destination.rawValue
          $0.denied.sourcePort = UInt32(flow.sourcePort)
          $0.denied.destinationPort = UInt32(flow.destinationPort)
        })
    }
  }

  /// Has istbpfd decide on a question of another runner.
  private func ask(
    _ runner: String, about deployment: DeploymentName,
    reply: @escaping @Sendable (StreamDecision) -> Void
  ) {
    guard let channel = daemon.withLock({ $0 }) else { return reply(.refuse(EAGAIN)) }
    do {
      let pair = try TCPSocketPair()
      let (near, far) = pair.handoffs()
      let number = questions.add(far, reply)
      guard let near = near.take() else { return }
      do {
        try channel.send(
          Istbpf_Relay_V1_Report.with {
            $0.asked.question = number
            $0.asked.runner = runner
            $0.asked.deployment = deployment.rawValue
          }, with: near.rawValue)
      } catch {
        questions.decide(.with { ($0.question, $0.errorNumber) = (number, EAGAIN) })
      }
    } catch {
      logger.error("a question of runner \(runner) cannot be passed on: \(error)")
      reply(.refuse(EAGAIN))
    }
  }

  private func probe(
    _ probe: Istbpf_Relay_V1_Probe, completion: @escaping @Sendable (Bool) -> Void
  ) {
    guard let carrier = state.withLock({ $0.carrier }),
      let deployment = try? DeploymentName(probe.deployment)
    else { return completion(false) }
    carrier.probe(probe.runner, about: deployment, completion: completion)
  }

  private func ask(
    _ question: Istbpf_Relay_V1_Question, _ socket: DescriptorHandoff?,
    completion: @escaping @Sendable (StreamRefusal?) -> Void
  ) {
    guard let carrier = state.withLock({ $0.carrier }), let socket,
      let deployment = try? DeploymentName(question.deployment)
    else { return completion(StreamRefusal(errno: EINVAL, cause: "istbpf-relay cannot ask")) }
    carrier.ask(question.runner, about: deployment, on: socket, completion: completion)
  }
}

extension Istbpf_Relay_V1_Report {
  fileprivate static func done(_ number: UInt64) -> Self {
    .with { ($0.number, $0.done) = (number, .init()) }
  }

  fileprivate static func refusing(_ number: UInt64, _ error: any Error) -> Self {
    .with {
      $0.number = number
      $0.refused.problem = "\(error)"
      $0.refused.needsRestart = error is OtherSettings
    }
  }

  fileprivate static func refusing(_ number: UInt64, _ refusal: StreamRefusal) -> Self {
    .with {
      $0.number = number
      $0.refused.problem = refusal.cause
      $0.refused.errorNumber = refusal.errno
      $0.refused.isReached = refusal.isReached
    }
  }
}
