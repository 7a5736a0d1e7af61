import Glibc
import Model
import Relay
import RelayControl
import Synchronization

/// Asking istbpf-relay.
extension RelayLink {
  /// What the relay has done and has, with what those still carry whose place it has taken; nil where there is none, or it
  /// does not answer.
  func statistics() async -> Istbpf_Relay_V1_Statistics? {
    let (connection, leaving) = state.withLock { state in
      (state.connection, state.leaving.filter { $0 !== state.connection })
    }
    guard let connection, var all = await statistics(of: connection) else { return nil }
    for connection in leaving {
      if let more = await statistics(of: connection) { all.addLive(more) }
    }
    return all
  }

  private func statistics(
    of connection: RelayConversation
  ) async -> Istbpf_Relay_V1_Statistics? {
    let report = await answer(connection, .getStatistics(.init()), within: Self.statisticsPatience)
    guard case .statistics(let statistics)? = report?.report else { return nil }
    return statistics
  }

  /// Has another runner asked on a stream that is joined to `socket`, and returns what became of it: nil where it is.
  func ask(
    _ runner: String, about deployment: DeploymentName, on socket: DescriptorHandoff
  ) async -> StreamRefusal? {
    let none = StreamRefusal(errno: EAGAIN, cause: "there is no istbpf-relay")
    guard let connection = state.withLock({ $0.connection }), let socket = socket.take() else {
      return none
    }
    let question = Istbpf_Relay_V1_Question.with {
      ($0.runner, $0.deployment) = (runner, deployment.rawValue)
    }
    let report = await answer(connection, .question(question), with: socket.rawValue)
    switch report?.report {
    case .done: return nil
    case .refused(let refused):
      return StreamRefusal(
        errno: refused.errorNumber, cause: refused.problem, isReached: refused.isReached)
    default: return none
    }
  }

  /// Whether another runner's istbpf-relay answers; nil where that cannot be found out.
  func reaches(_ runner: String, about deployment: DeploymentName) async -> Bool? {
    guard let connection = state.withLock({ $0.connection }) else { return nil }
    let probe = Istbpf_Relay_V1_Probe.with {
      ($0.runner, $0.deployment) = (runner, deployment.rawValue)
    }
    switch await answer(connection, .probe(probe))?.report {
    case .done: return true
    case .refused: return false
    default: return nil
    }
  }

  func answer(
    _ connection: RelayConversation, _ command: Istbpf_Relay_V1_Command.OneOf_Command,
    with descriptor: Int32? = nil, within patience: Duration = .seconds(30)
  ) async -> Istbpf_Relay_V1_Report? {
    await withCheckedContinuation { continuation in
      let once = Mutex<CheckedContinuation<Istbpf_Relay_V1_Report?, Never>?>(continuation)
      let finish = { @Sendable (report: Istbpf_Relay_V1_Report?) in
        once.withLock { $0.take() }?.resume(returning: report)
      }
      do { try connection.send(command, with: descriptor) { finish($0) } } catch { finish(nil) }
      Task {
        try? await Task.sleep(for: patience)
        finish(nil)
      }
    }
  }
}

extension Istbpf_Relay_V1_Statistics {
  /// Adds what another relay has now.
  mutating func addLive(_ other: Istbpf_Relay_V1_Statistics) {
    streamsLive += other.streamsLive
    tunnelsLive += other.tunnelsLive
    tunnelsKernel += other.tunnelsKernel
    pairsLive += other.pairsLive
    outsideLive += other.outsideLive
    for more in other.outside {
      let place = outside.firstIndex {
        $0.deployment == more.deployment && $0.instance == more.instance
      }
      if let place {
        outside[place].connections += more.connections
      } else {
        outside.append(more)
      }
    }
  }
}

extension DurationHistogram.Snapshot {
  init(_ durations: Istbpf_Relay_V1_Durations) {
    self.init(bounds: durations.bounds, cumulative: durations.cumulative, sum: durations.sum)
  }
}
