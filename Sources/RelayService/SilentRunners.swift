import Relay
import RelayControl
import Synchronization

/// Runners that could not be reached a moment ago: the instances of others are tried before theirs, so
/// that not every connect waits for a runner that is gone until the registry knows.
final class SilentRunners: Sendable {
  private let since = Mutex<[TunnelPeer: ContinuousClock.Instant]>([:])

  /// As long as a lease lasts, as a rule.
  private static let memory = Duration.seconds(10)

  /// Takes note of how the last attempt to reach a runner ended.
  func note(_ peer: TunnelPeer, isReached: Bool) {
    since.withLock { $0[peer] = isReached ? nil : .now }
  }

  /// The same candidates, those on silent runners last.
  func last(
    _ candidates: some Sequence<InstanceDirectory.Candidate>
  ) -> [InstanceDirectory.Candidate] {
    let now = ContinuousClock.now
    let silent = since.withLock { since in
      since = since.filter { now - $0.value < Self.memory }
      return since
    }
    guard !silent.isEmpty else { return Array(candidates) }
    let isSilent = { (candidate: InstanceDirectory.Candidate) in
      candidate.peer.map { silent[$0] != nil } ?? true
    }
    return candidates.filter { !isSilent($0) } + candidates.filter(isSilent)
  }
}
