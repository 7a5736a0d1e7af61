import Synchronization

extension Relay {
  /// To how many peers a tunnel is made ahead at most. Those beyond are spoken to when a stream is asked for.
  private static let mostPrepared = 256

  /// Has a tunnel ready to each of `peers` from now on, and no more to those that were named before: the first stream to
  /// one then waits for no handshake, which would be three round trips in one. Made again where it ends.
  public func prepare(_ peers: Set<TunnelPeer>) {
    let chosen = peers.sorted { $0.runner.name < $1.runner.name }.prefix(Self.mostPrepared)
    let byLoop = Dictionary(grouping: chosen) { homeLoop(of: $0).index }
    for loop in loops {
      let own = byLoop[loop.index] ?? []
      loop.post { $0.prepared.replace(with: own) }
    }
  }

  /// The loop in which a tunnel to `peer` is kept ready.
  func homeLoop(of peer: TunnelPeer) -> EventLoop {
    loops[Int(bitPattern: peer.hashValue.magnitude % UInt(loops.count))]
  }
}

/// The peers to which one loop has a tunnel ready before a stream is asked for.
final class PreparedPeers {
  /// How many tunnels are begun at a time, so that a runner that starts among many does not meet all at once.
  private static let batch = 8
  /// The pause between such batches, in nanoseconds.
  private static let pause: UInt64 = 100_000_000

  /// When a peer was dialled, and when it may be again: after a second, and twice as long each time, up to a minute.
  struct Attempts {
    private static let (first, longest): (UInt64, UInt64) = (1_000_000_000, 60_000_000_000)

    /// When the last attempt was begun, and how long after it the next one may be, in nanoseconds.
    private var last: UInt64 = 0
    private var pause: UInt64 = 0

    /// When the next one may be begun, in nanoseconds.
    var next: UInt64 { last + pause }

    /// One is begun. Where none was needed for long, the pauses are as at first.
    mutating func begin(at now: UInt64) {
      let isSoon = pause > 0 && now - last < 2 * pause
      pause = isSoon ? min(2 * pause, Self.longest) : Self.first
      last = now
    }
  }

  private unowned let loop: EventLoop
  private var peers: [TunnelPeer: Attempts] = [:]
  private var look: Deadline?

  init(in loop: EventLoop) { self.loop = loop }

  func contains(_ peer: TunnelPeer) -> Bool { peers[peer] != nil }

  func replace(with new: [TunnelPeer]) {
    peers = Dictionary(
      new.map { ($0, peers[$0] ?? Attempts()) }, uniquingKeysWith: { first, _ in first })
    lookLater()
  }

  /// A tunnel to `peer` has ended, or could not be made.
  func lost(_ peer: TunnelPeer) {
    if contains(peer) { lookLater() }
  }

  private func lookLater(after pause: UInt64 = 0) {
    guard !peers.isEmpty else { return }
    if let look {
      guard look.time > loop.now + pause else { return }
      loop.cancel(look)
    }
    look = loop.after(pause) { [weak self] in
      guard let self else { return }
      look = nil
      begin()
    }
  }

  /// Begins what is due, and looks again when the next ones are.
  private func begin() {
    // What another relay passes on may be just these; and one that ends needs none.
    guard loop.shared.succession.underWay.load(ordering: .relaxed) == 0 else {
      return lookLater(after: 10 * Self.pause)
    }
    guard loop.stopsAt == nil, !loop.isRetired else { return }
    var left = Self.batch
    var next = UInt64.max
    for (peer, var attempts) in peers where loop.pools[peer]?.hasNext != true {
      guard attempts.next <= loop.now, left > 0 else {
        next = min(next, max(attempts.next, loop.now + Self.pause))
        continue
      }
      left -= 1
      attempts.begin(at: loop.now)
      peers[peer] = attempts
      next = min(next, attempts.next)
      loop.pool(peer).makeReady()
    }
    if next != .max { lookLater(after: next - loop.now) }
  }
}
