import Dispatch
import Glibc
import LinuxSystem
import Logging
import Model
import RelayControl
import Synchronization

/// Telling istbpf-relay what there is.
extension RelayLink {
  /// Asks, and waits for the answer. Throws where there is none.
  func ask(
    _ connection: RelayConversation, _ command: Istbpf_Relay_V1_Command.OneOf_Command,
    with descriptor: Int32? = nil
  ) throws -> Istbpf_Relay_V1_Report {
    let answer = Answer()
    try connection.send(command, with: descriptor) { answer.set($0) }
    return try wait(for: answer, of: connection)
  }

  func wait(
    for answer: Answer, of connection: RelayConversation
  ) throws -> Istbpf_Relay_V1_Report {
    guard answer.semaphore.wait(timeout: .now() + Self.patience) == .success else {
      // What it relies on must not be older than what is said to be in effect.
      logger.critical("istbpf-relay does not answer: it is killed")
      if let peer = connection.channel.peer { kill(peer.process, SIGKILL) }
      connection.channel.end()
      throw RunnerError.noRelay("it does not answer")
    }
    guard let report = answer.value else { throw RunnerError.noRelay("it has ended") }
    return report
  }

  /// Takes note of something by `change`, and tells the relay, if there is one: another one is told as it begins.
  /// Returns when it is in effect. Throws what the relay says against it.
  func tell(
    _ change: (inout State) -> Istbpf_Relay_V1_Command.OneOf_Command?
  ) throws {
    let answer = Answer()
    let earlier = Mutex<[(RelayConversation, Answer)]>([])
    let (isNew, connection): (Bool, RelayConversation?) = state.withLock { state in
      guard let command = change(&state) else { return (false, nil) }
      for leaving in state.leaving where leaving !== state.connection {
        let answer = Answer()
        // One that has ended need not be told.
        if (try? leaving.send(command) { answer.set($0) }) != nil {
          earlier.withLock { $0.append((leaving, answer)) }
        }
      }
      guard let connection = state.connection else { return (true, nil) }
      do {
        try connection.send(command) { answer.set($0) }
        return (true, connection)
      } catch {
        // It ends, and the next one is told.
        connection.channel.end()
        return (true, nil)
      }
    }
    guard isNew else { return }
    // What they say against it is no news: it is in effect with the one that has taken their place, or they have ended.
    for (leaving, answer) in earlier.withLock({ $0 }) { _ = try? wait(for: answer, of: leaving) }
    guard let connection else {
      wakeup.signal()
      return awaitFirst()
    }
    do {
      if case .refused(let refused) = try wait(for: answer, of: connection).report {
        throw RunnerError.relayRefused(refused.problem)
      }
    } catch RunnerError.noRelay {
      // The same.
      return
    }
  }

  /// Where a relay has come to be needed, returns when it is there, or cannot be.
  func awaitFirst() {
    let until = ContinuousClock.now + Self.startPatience
    while ContinuousClock.now < until {
      let isDue = state.withLock { state in
        state.isWanted && state.isComplete && !state.isStopped && state.connection == nil
          && state.problem == nil
      }
      guard isDue else { return }
      usleep(1000)
    }
  }

  /// Tells what there is of a deployment now.
  func tell(_ deployment: Istbpf_Relay_V1_Deployment) throws {
    // The socket of a fabric that is another's, or nobody's, must not be in the way of the next one there.
    dropListeners(
      "fabric \(deployment.id) ", but: "fabric \(deployment.id) \(deployment.fabric)")
    try tell(.deployment(deployment.id), isRetold: true) { told in
      guard told.deployments[deployment.id] != deployment else { return false }
      told.deployments[deployment.id] = deployment
      return true
    }
  }

  /// Takes note of `topic` by `change`, which returns whether that is anything new, and tells the relay: `command`, or else
  /// all that there is of it. Throws what the relay says against it, and has it told again later. Where it is nothing
  /// new the relay is told only if it refused it before and `isRetold`.
  private func tell(
    _ topic: Topic, as command: Istbpf_Relay_V1_Command.OneOf_Command? = nil, isRetold: Bool,
    _ change: (inout Desired) -> Bool
  ) throws {
    var isTold = false
    func settle(isRefused: Bool) {
      guard isTold else { return }
      state.withLock { state in
        let others = state.told.unanswered[topic, default: 1] - 1
        state.told.unanswered[topic] = others == 0 ? nil : others
        if isRefused { state.told.refused.insert(topic) }
      }
    }
    do {
      try tell { state in
        let isNew = change(&state.told)
        // What somebody else is telling just now may be refused yet.
        let isOpen =
          state.told.refused.contains(topic) || state.told.unanswered[topic] != nil
        guard isNew || isRetold && isOpen else { return nil }
        // Also where there is none yet.
        if case .deployment(let id) = topic, state.told.deployments[id] != nil {
          state.isWanted = true
        }
        state.told.refused.remove(topic)
        state.told.unanswered[topic, default: 0] += 1
        isTold = true
        return command ?? state.told.command(for: topic)
      }
      settle(isRefused: false)
    } catch {
      settle(isRefused: true)
      throw error
    }
  }

  /// Tells again what the relay refused, if there is one.
  func tellRefused() {
    for topic in state.withLock({ $0.told.refused }) {
      guard state.withLock({ $0.connection }) != nil else { return }
      let title = state.withLock { $0.told.title(of: topic) }
      do {
        try tell(topic, isRetold: true) { _ in false }
        logger.notice("istbpf-relay has taken over \(title) now")
      } catch {
        logger.debug("\(title): \(error)")
      }
    }
  }

  /// Closes what is kept for the next relay under names that begin so, but for one.
  func dropListeners(_ prefix: String, but kept: String = "") {
    listeners.withLock { listeners in
      listeners = listeners.filter { !$0.key.hasPrefix(prefix) || $0.key == kept }
    }
  }

  /// Whether a deployment was told of.
  func knows(_ deployment: DeploymentID) -> Bool {
    state.withLock { $0.told.deployments[UInt32(deployment)] != nil }
  }

  /// A deployment is no more.
  func withdraw(_ deployment: DeploymentID) throws {
    let id = UInt32(deployment)
    dropListeners("fabric \(id) ")
    try tell(.deployment(id), isRetold: true) { $0.deployments.removeValue(forKey: id) != nil }
  }

  /// Tells where runners take tunnels.
  func tell(_ runners: Istbpf_Relay_V1_Runners) throws {
    try tell(.runners, isRetold: false) { told in
      guard told.runners != runners else { return false }
      told.runners = runners
      return true
    }
  }

  /// Tells which services the front door serves; others are still served, unless the list is exact.
  func tell(_ services: [Istbpf_Relay_V1_PublicService], isExact: Bool) throws {
    let command = Istbpf_Relay_V1_Command.OneOf_Command.publicServices(
      .with { ($0.services, $0.exact) = (services, isExact) })
    try tell(.publicServices, as: command, isRetold: false) { told in
      let new = Dictionary(services.map { ($0.socket, $0) }, uniquingKeysWith: { _, last in last })
      let all = isExact ? new : (told.services ?? [:]).merging(new) { _, new in new }
      guard all != told.services else { return false }
      told.services = all
      return true
    }
    guard isExact else { return }
    let kept = Set(services.map { "service \($0.socket)" })
    listeners.withLock { listeners in
      listeners = listeners.filter { !$0.key.hasPrefix("service ") || kept.contains($0.key) }
    }
  }

  /// Tells which files say who this runner is. Throws what is wrong with them; then nothing has changed.
  func tell(_ files: Istbpf_Relay_V1_IdentityFiles) throws {
    try tellSettings { $0.cluster.files = files }
  }

  /// Tells how much is logged.
  func tell(_ level: Logger.Level) throws { try tellSettings { $0.logLevel = level.rawValue } }

  private func tellSettings(_ change: (inout Istbpf_Relay_V1_Settings) -> Void) throws {
    let before = state.withLock { $0.told.settings }
    do {
      try tell { state in
        change(&state.told.settings)
        return .settings(state.told.settings)
      }
    } catch {
      state.withLock { $0.told.settings = before }
      throw error
    }
  }
}

/// An answer that a thread waits for.
final class Answer: Sendable {
  let semaphore = DispatchSemaphore(value: 0)
  private let report = Mutex<Istbpf_Relay_V1_Report?>(nil)

  var value: Istbpf_Relay_V1_Report? { report.withLock { $0 } }

  func set(_ value: Istbpf_Relay_V1_Report?) {
    report.withLock { $0 = value }
    semaphore.signal()
  }
}
