import Dispatch
import Relay
import RelayControl
import Synchronization

/// Has a tunnel ready to each runner with which a connection may come: one that has instances of a deployment that this
/// runner has too.
final class ReadyTunnels: Sendable {
  /// How long after the start, in seconds: another relay may pass on tunnels before that.
  private static let beginning = 1.0
  /// How long changes are gathered, in seconds: at a start there are thousands.
  private static let gathering = 0.1

  private let directory: InstanceDirectory
  private let relay: Relay
  private let queue = DispatchQueue(label: "istbpf.relay.ready")
  private let state = Mutex(State())

  private struct State {
    var isStarted = false
    /// Whether is looked soon what has changed.
    var isDue = false
  }

  init(by directory: InstanceDirectory, on relay: Relay) {
    (self.directory, self.relay) = (directory, relay)
  }

  func start() {
    let isNew = state.withLock { state in
      defer { state.isStarted = true }
      return !state.isStarted
    }
    if isNew { prepare(after: Self.beginning) }
  }

  /// Has none ready any more; those that there are end when they have been idle for long.
  func stop() {
    state.withLock { $0.isStarted = false }
    queue.async { [self] in prepare() }
  }

  /// Runners or instances have come, or gone.
  func changed() {
    if state.withLock(\.isStarted) { prepare(after: Self.gathering) }
  }

  private func prepare(after seconds: Double) {
    let wasDue = state.withLock { state in
      defer { state.isDue = true }
      return state.isDue
    }
    guard !wasDue else { return }
    queue.asyncAfter(deadline: .now() + seconds) { [weak self] in
      guard let self else { return }
      state.withLock { $0.isDue = false }
      prepare()
    }
  }

  private func prepare() {
    relay.prepare(state.withLock(\.isStarted) ? directory.neighbours : [])
  }
}
