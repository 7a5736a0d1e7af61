import Dispatch
import Foundation
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import RelayControl
import Synchronization

/// Having an istbpf-relay, and hearing what it says.
extension RelayLink {
  /// Tells the relay that runs, if there is one, what there is from now on; it goes on by what it was told before until
  /// `start`. Throws what it says against its settings.
  func attach(_ callbacks: Callbacks) throws {
    self.callbacks.withLock { $0 = callbacks }
    guard RelayInstance.running(installation) != nil else { return }
    state.withLock { $0.isWanted = true }
    try keepOne()
  }

  /// Has a relay from now on where one is needed: on a runner of a cluster, one with a front door, or where something was
  /// told. Returns when that one has been told everything. Throws what it says against its settings.
  func start() throws {
    let connection = state.withLock { state in
      state.isComplete = true
      let settings = state.told.settings
      state.isWanted = state.isWanted || settings.hasCluster || !settings.frontDoor.isEmpty
      return state.connection
    }
    if connection != nil {
      try tell { _ in .complete(.init()) }
    } else if state.withLock(\.isWanted) {
      try keepOne()
    }
    Thread.detachNewThread { [self] in keep() }
  }

  /// Is told nothing any more, and goes on.
  func stop() {
    let connection = state.withLock { state in
      state.isStopped = true
      defer { state.connection = nil }
      return state.connection
    }
    connection?.channel.end()
    wakeup.signal()
  }

  /// Has a relay, for as long as this one is there.
  func keep() {
    replaceOther()
    var next = DispatchTime.now() + Self.interval
    while true {
      _ = wakeup.wait(timeout: next)
      if next <= .now() {
        replaceOther()
        tellRefused()
        checkAnswers()
        next = .now() + Self.interval
      }
      while true {
        guard isDue else { break }
        do {
          // Not beside one that is being put in another's place, which would be told everything twice.
          try replacing.withLock { _ in if isDue { try keepOne() } }
        } catch {
          logger.error("there is no istbpf-relay: \(error)")
          state.withLock { $0.problem = "\(error)" }
          _ = wakeup.wait(timeout: .now() + Self.pause)
        }
      }
      if state.withLock(\.isStopped) { return }
    }
  }

  /// Kills a relay that does not answer, so that its connections are reset instead of standing still, and another one
  /// takes its place.
  private func checkAnswers() {
    if let (connection, _) = current { _ = try? ask(connection, .getStatistics(.init())) }
  }

  private var isDue: Bool {
    state.withLock { !$0.isStopped && $0.isWanted && $0.connection == nil }
  }

  /// Has a relay of this program take the place of another program's, as it is after an upgrade: at once where that one
  /// leaves its place, else once it carries nothing.
  func replaceOther() {
    replacing.withLock { _ in
      guard let (connection, process) = current, isOfOtherProgram(process),
        state.withLock({ $0.replaceAfter }) <= .now
      else { return }
      do { try handOver(from: connection) } catch {
        logger.debug("istbpf-relay (pid \(process)) does not pass on what it carries: \(error)")
        replaceWhereIdle(connection, process)
      }
    }
  }

  /// The relay that has been told everything, and its process.
  private var current: (RelayConversation, pid_t)? {
    state.withLock { state in state.connection.map { ($0, state.greeting?.pid ?? 0) } }
  }

  /// Has a new relay take the place of the one that runs, of whatever program. Blocks. Returns both process ids. Throws
  /// where there is none, or it does not pass on what it carries.
  func restart() throws -> (before: pid_t, now: pid_t) {
    try replacing.withLock { _ in
      guard let (connection, process) = current else {
        throw RunnerError.noRelay("none is needed, or it has ended")
      }
      try handOver(from: connection)
      return (process, current?.1 ?? 0)
    }
  }

  func replaceWhereIdle(_ connection: RelayConversation, _ process: pid_t) {
    guard isIdle(connection) else { return }
    state.withLock { $0.replaced = connection }
    // One of an earlier version does not look again whether it carries anything. The answer may be its end.
    let answer = try? ask(connection, .stop(.with { $0.ifIdle = true }))
    if case .refused? = answer?.report { return state.withLock { $0.replaced = nil } }
    logger.notice(
      "istbpf-relay (pid \(process)) was of another version and carried nothing: it has been ended")
  }

  func isIdle(_ connection: RelayConversation) -> Bool {
    guard case .statistics(let figures)? = try? ask(connection, .getStatistics(.init())).report
    else {
      return false
    }
    return figures.streamsLive == 0 && figures.pairsLive == 0
  }

  func isOfOtherProgram(_ process: pid_t) -> Bool {
    guard let own = FileIdentity.ofThisProgram, let other = FileIdentity(of: "/proc/\(process)/exe")
    else { return false }
    return own != other
  }

  /// Finds the relay that runs, or starts one, and tells it everything.
  func keepOne() throws {
    if let connection = try connect() ?? returning() {
      if try introduce(connection) { return }
      try endRelay()
    }
    try startIntroduced()
  }

  /// Starts a relay, and tells it everything.
  func startIntroduced() throws {
    let process = try startRelay()
    do { try introduce(process) } catch {
      // Nobody tells it anything any more. First so that systemd does not start it again.
      process?.signal(SIGTERM)
      if process?.awaitEnd(within: 1000) == false {
        process?.signal(SIGKILL)
        _ = process?.awaitEnd(within: 1000)
      }
      throw error
    }
  }

  /// Tells a relay everything that has just been started; nil where it is not known which process that is.
  private func introduce(_ process: ProcessHandle?) throws {
    let until = ContinuousClock.now + Self.startPatience
    while ContinuousClock.now < until {
      if let connection = try connect() {
        guard try introduce(connection) else { break }
        return
      }
      guard process?.hasEnded != true else {
        throw RunnerError.noRelay("it has ended at once; its log is \(installation.relayLogPath)")
      }
      usleep(2000)
    }
    throw RunnerError.noRelay("it does not answer; its log is \(installation.relayLogPath)")
  }

  func connect() throws -> RelayConversation? {
    guard let socket = UnixSocket.connected(to: installation.relaySocketPath) else { return nil }
    let connection = RelayConversation(try DescriptorChannel(socket))
    Thread.detachNewThread { [self] in hear(connection) }
    return connection
  }

  /// Starts one: as a service of systemd where that keeps this istbpfd too, so that it is started again while there is no
  /// istbpfd; else, or where systemd does not, as a process of its own. Returns nil where it is not known which process
  /// that is.
  private func startRelay() throws -> ProcessHandle? {
    state.withLock { $0.starts += 1 }
    do {
      if case .started(let process)? = try units?.start() { return process }
    } catch {
      logger.warning("systemd does not keep istbpf-relay, so istbpfd alone does: \(error)")
    }
    let process = try ProcessHandle(
      DetachedProcess.start(
        Self.ownProgram, ["istbpf-relay", "--installation", installation.name]))
    state.withLock { $0.children.append(process) }
    return process
  }

  /// The program that this process runs, also where another has taken its place in the file system.
  static var ownProgram: String {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &path, path.count - 1)
    let text = String(
      decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return count > 0 && access(text, X_OK) == 0 ? text : "/proc/self/exe"
  }

  func endRelay() throws {
    guard let relay = RelayInstance.running(installation) else { return }
    logger.notice("ending istbpf-relay (pid \(relay.processID)), which cannot go on")
    relay.end()
  }

  /// Tells a relay everything; false where another one must be started. Throws what it says against its settings.
  func introduce(_ connection: RelayConversation) throws -> Bool {
    let greeting = Istbpf_Relay_V1_Greeting.with {
      ($0.protocol, $0.version, $0.pid) = (relayProtocol, istbpfVersion, getpid())
    }
    guard case .greeting(let relay) = try ask(connection, .greeting(greeting)).report,
      relay.protocol == relayProtocol
    else { return false }
    for (name, listener) in listeners.withLock({ $0 }) {
      guard let socket = listener.copy() else { continue }
      _ = try ask(connection, .listener(.with { $0.name = name }), with: socket.rawValue)
    }
    var settings = state.withLock { $0.told.settings }
    var answer = try ask(connection, .settings(settings)).report
    if case .refused(let refused)? = answer, refused.needsRestart {
      // An early one takes a field that it does not know for another setting.
      settings.logLevel = ""
      answer = try ask(connection, .settings(settings)).report
    }
    if case .refused(let refused)? = answer {
      if refused.needsRestart { return false }
      connection.channel.end()
      throw RunnerError.relayRefused(refused.problem)
    }
    // Of an address that another configuration had.
    dropListeners("tunnels ", but: "tunnels \(settings.cluster.address)")
    let answers = DispatchGroup()
    // Not in `state`, which is locked until all is sent: whoever hears must not wait for that.
    let refused = Mutex<Set<Topic>>([])
    // Nothing new is told in between.
    try state.withLock { state in
      let deployments = state.told.deployments.keys.map { Topic.deployment($0) }
      let end: [Topic] = state.isComplete ? [.publicServices, .whole] : [.publicServices]
      for topic in [.runners] + deployments + end {
        guard let command = state.told.command(for: topic) else { continue }
        let title = state.told.title(of: topic)
        try send(connection, command, answers) { [self] problem in
          logger.error("istbpf-relay cannot take over \(title): \(problem)")
          refused.withLock { _ = $0.insert(topic) }
        }
      }
      (state.connection, state.greeting, state.problem) = (connection, relay, nil)
      state.told.refused = []
    }
    guard answers.wait(timeout: .now() + Self.patience) == .success else {
      throw RunnerError.noRelay("it does not answer")
    }
    let topics = refused.withLock { $0 }
    state.withLock { $0.told.refused.formUnion(topics) }
    logger.info("istbpf-relay (pid \(relay.pid), version \(relay.version)) knows what there is")
    return true
  }

  func send(
    _ connection: RelayConversation, _ command: Istbpf_Relay_V1_Command.OneOf_Command,
    _ group: DispatchGroup, refused: @escaping @Sendable (String) -> Void = { _ in }
  ) throws {
    group.enter()
    try connection.send(command) { answer in
      if case .refused(let problem)? = answer?.report { refused(problem.problem) }
      group.leave()
    }
  }

  /// Hears what a relay says, until it ends.
  func hear(_ connection: RelayConversation) {
    do {
      while let received = try connection.channel.receive(Istbpf_Relay_V1_Report.self) {
        hear(received, from: connection)
      }
    } catch {
      logger.warning("what istbpf-relay says cannot be heard: \(error)")
    }
    connection.channel.end()
    let isUnexpected = state.withLock { state in
      state.leaving.removeAll { $0 === connection }
      guard state.connection === connection else { return false }
      (state.connection, state.greeting) = (nil, nil)
      state.problem = "it has ended"
      return !state.isStopped && state.replaced !== connection
    }
    connection.end()
    reap(connection)
    if isUnexpected { logger.error("istbpf-relay has ended: starting it again") }
    wakeup.signal()
  }

  /// Reaps the process at the other end, if it is a child.
  func reap(_ connection: RelayConversation) {
    let process = connection.channel.peer?.process
    _ = state.withLock(\.children).first { $0.processID == process }?.awaitEnd(within: 1000)
    state.withLock { $0.children.removeAll(where: \.hasEnded) }
  }

  func hear(
    _ received: DescriptorChannel.Received<Istbpf_Relay_V1_Report>,
    from connection: RelayConversation
  ) {
    switch received.message.report {
    case .listener(let listener):
      if let socket = received.descriptor { keep(listener.name, socket) }
    case .denied(let denied): callbacks.withLock { $0 }?.denied(denied)
    case .asked(let asked):
      var errno = EAGAIN
      if let deployment = try? DeploymentName(asked.deployment), let socket = received.descriptor {
        errno = callbacks.withLock { $0 }?.asked(asked.runner, deployment, socket) ?? EAGAIN
      }
      let decided = Istbpf_Relay_V1_QuestionDecided.with {
        ($0.question, $0.errorNumber) = (asked.question, errno)
      }
      // One that has gone decides nothing any more.
      try? connection.send(.decided(decided))
    default: connection.answered(received.message)
    }
  }

  /// Keeps a listening socket for the next relay. Those of a fabric that is no more go.
  func keep(_ name: String, _ socket: DescriptorHandoff) {
    let kind = name.split(separator: " ").prefix(2)
    listeners.withLock { listeners in
      if kind.first == "fabric" {
        listeners = listeners.filter { !$0.key.hasPrefix(kind.joined(separator: " ") + " ") }
      }
      listeners[name] = socket
    }
  }
}
