import CLinux
import Glibc
import Model
import Tunnel

/// Whether another runner answers a loop's tunnels, for the sake of the programs' own timers.
///
/// While it does not, what the programs of its streams send to this runner is dropped, as on a wire that is cut:
/// their kernels then do what they do on a plain network, by keepalive, TCP_USER_TIMEOUT and retransmission. Else
/// this runner would acknowledge in the far program's name what that one cannot have had.
///
/// One tunnel of those to a runner, the sentinel, is probed by the kernel each second. That costs as much however many
/// streams there are, and needs nothing of the other runner.
final class PeerReachability {
  /// The silence from which on a runner counts as cut off, in milliseconds: two probes were not answered.
  private static let silence: Int64 = 2500
  /// How often it is looked at, in nanoseconds.
  static let interval: UInt64 = 500_000_000
  /// How many tunnels are looked at to find a sentinel.
  private static let candidates = 16

  let runner: RunnerIdentifier
  private unowned let loop: EventLoop
  private var streams: [ObjectIdentifier: Stream] = [:]
  private weak var sentinel: TunnelConnection?
  /// Since when it is that one, in nanoseconds: before that nobody had it probed.
  private var since: UInt64 = 0
  private(set) var isReachable = true

  init(_ runner: RunnerIdentifier, in loop: EventLoop) { (self.runner, self.loop) = (runner, loop) }

  var isUnused: Bool { streams.isEmpty }

  func add(_ stream: Stream) { streams[ObjectIdentifier(stream)] = stream }

  func remove(_ stream: Stream) {
    streams[ObjectIdentifier(stream)] = nil
    if streams.isEmpty { release() }
  }

  /// Looks, and tells all streams.
  func check() {
    let isReachable = sentinelAnswers() || isHeardByAny()
    // One may have begun since it was looked at last.
    if !isReachable || !self.isReachable {
      for stream in streams.values { stream.local?.setReachable(isReachable) }
    }
    guard isReachable != self.isReachable else { return }
    self.isReachable = isReachable
    loop.shared.observe(.peerReachable(runner, isReachable))
  }

  /// So it seems where no tunnel could tell.
  private func sentinelAnswers() -> Bool {
    guard let (sentinel, heard) = probed() else { return true }
    // Before `since` it was probed by nobody.
    let silence = isReachable ? min(heard, Int64((loop.now - since) / 1_000_000)) : heard
    return silence < Self.silence && !sentinel.isClosed
  }

  /// A sentinel that is probed, and how long ago it was heard of, in milliseconds.
  private func probed() -> (TunnelConnection, heard: Int64)? {
    let current = sentinel.flatMap { tunnel in Self.heard(tunnel).map { (tunnel, $0) } }
    if let current, current.1.unsent != linux_tcp_blocked {
      // One that sends its bytes again learns late that it is answered again.
      let isProbed = isReachable || current.1.unsent == linux_tcp_nothing_unsent
      if isProbed { return (current.0, current.1.ago) }
    }
    let others = tunnels.prefix(Self.candidates).compactMap { tunnel in
      Self.heard(tunnel).map { (tunnel, $0) }
    }
    guard
      let next = others.first(where: { $0.1.unsent == linux_tcp_nothing_unsent })
        ?? current.map({ $0 }) ?? others.first, next.1.unsent != linux_tcp_blocked
    else { return nil }
    if next.0 !== sentinel { adopt(next.0) }
    return (next.0, next.1.ago)
  }

  private static func heard(
    _ tunnel: TunnelConnection
  ) -> (ago: Int64, unsent: linux_tcp_unsent)? {
    guard !tunnel.isClosed else { return nil }
    var unsent = linux_tcp_nothing_unsent
    let ago = linux_tcp_last_heard(tunnel.channel.descriptor, &unsent)
    return ago < 0 ? nil : (ago, unsent)
  }

  /// The sentinel's probes may have been lost, or its answers.
  private func isHeardByAny() -> Bool {
    tunnels.contains { tunnel in Self.heard(tunnel).map { $0.ago < Self.silence } ?? false }
  }

  private var tunnels: some Sequence<TunnelConnection> {
    let runner = runner
    return loop.tunnels.values.lazy.filter { $0.channel.peer.runner == runner }
  }

  private func adopt(_ tunnel: TunnelConnection) {
    release()
    (sentinel, since) = (tunnel, loop.now)
    loop.keepAlive(tunnel.channel.descriptor, idle: 1, interval: 1)
  }

  private func release() {
    if let sentinel, !sentinel.isClosed { loop.keepAlive(sentinel.channel.descriptor) }
    sentinel = nil
  }
}

extension EventLoop {
  /// What is known of `runner`'s being there, for a stream with it.
  func reachability(of runner: RunnerIdentifier) -> PeerReachability {
    watchReachability()
    if let known = reachability[runner] { return known }
    let new = PeerReachability(runner, in: self)
    reachability[runner] = new
    return new
  }

  /// Looks at the runners with which there are streams.
  private func watchReachability() {
    guard reachabilityWatch == nil else { return }
    reachabilityWatch = after(PeerReachability.interval) { [weak self] in
      guard let self else { return }
      reachabilityWatch = nil
      reachability = reachability.filter { !$0.value.isUnused }
      for peer in reachability.values { peer.check() }
      if !reachability.isEmpty { watchReachability() }
    }
  }
}
