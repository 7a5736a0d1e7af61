import CLinux
import Glibc
import Tunnel

/// One loop's tunnels to one peer: those that are idle, and the openings that wait for one.
final class PeerPool {
  let peer: TunnelPeer
  private unowned let loop: EventLoop
  private var idle = IdleTunnels<TunnelConnection>() {
    didSet { noteIdle() }
  }
  private var hasNoted = false
  private var waiting: [PendingOpen] = []
  private var dials = 0
  /// How many are kept ready: more, the faster those that are taken stay away.
  private var ready = 1
  /// When a tunnel was last made or came back.
  private(set) var lastProgress: UInt64 = 0
  private var expiry: Deadline?

  init(_ peer: TunnelPeer, in loop: EventLoop) { (self.peer, self.loop) = (peer, loop) }

  /// Gives `open` a tunnel: an idle one, else the next that becomes free or is made.
  func request(_ open: PendingOpen) {
    // One that the peer has ended since is noticed as it is asked, and another one is tried.
    if let tunnel = takeIdle() {
      open.isReuse = true
      loop.counters.tunnelsReused.add(1)
      tunnel.begin(open)
      keepReady()
      return
    }
    // The next one is under way, and would be there had it been begun before: they are taken faster than made.
    if dials > 0 { ready = min(ready * 2, Self.mostReady) }
    requestNew(open)
  }

  /// The most tunnels that are kept ready.
  static let mostReady = 16

  /// An idle one, best one of which the peer has acknowledged all. Behind bytes that it has not, a request cannot be
  /// taken back: where the wire is cut, the kernel would send both once it is mended, and the far program would get
  /// a connection that nobody waits for any more (`PendingOpen.isAlone`).
  private func takeIdle() -> TunnelConnection? {
    let recently = loop.now - min(loop.now, Self.doubtful)
    return idle.take(since: recently) { linux_unacknowledged($0.channel.descriptor) == 0 }
  }

  /// How long bytes may be unacknowledged before their tunnel is asked for no more, in nanoseconds.
  private static let doubtful: UInt64 = 500_000_000

  /// Has some ready for the next streams, which then need no handshake: three round trips in one.
  private func keepReady() {
    // None of these is to keep another peer's out.
    while dials + idle.count < waiting.count + ready, loop.hasAmpleRoomForTunnels, dial() {}
  }

  /// Gives `open` the next tunnel that becomes free or is made.
  func requestNew(_ open: PendingOpen) {
    open.isReuse = false
    waiting.append(open)
    open.awaitTunnel(of: self, in: loop)
    dialForWaiting()
  }

  /// Whether a tunnel is ready for the next stream, or on its way.
  var hasNext: Bool { idle.count > 0 || dials > 0 }

  /// Has one made for the next stream; see `PreparedPeers`.
  func makeReady() {
    if loop.hasAmpleRoomForTunnels { dial() }
  }

  /// Takes `tunnel` back, which carries nothing now.
  func put(_ tunnel: TunnelConnection) {
    lastProgress = loop.now
    if loop.stopsAt != nil { return tunnel.close() }
    if let open = nextWaiting() {
      open.isReuse = true
      loop.counters.tunnelsReused.add(1)
      return tunnel.begin(open)
    }
    idle.put(tunnel, now: loop.now)
    expireLater()
  }

  /// An idle tunnel has been ended by the peer: it does not want so many.
  func remove(_ tunnel: TunnelConnection) {
    idle.remove(tunnel)
    ready = 1
  }

  /// The peer has refused a tunnel, which in TLS 1.3 it may say after this side's handshake has ended.
  func refused() {
    ready = 1
    loop.shared.identities?.forgetKey(of: peer.runner)
  }

  /// `begunAt` is when it was begun, in nanoseconds.
  func dialSucceeded(_ tunnel: TunnelConnection, begunAt: UInt64) {
    dials -= 1
    lastProgress = loop.now
    defer {
      dialForWaiting()
      keepReady()
    }
    if let open = nextWaiting() {
      // One that was begun before may have been ended since by the peer, as an idle one. So may one whose handshake
      // took long: its end comes here before the peer has come to it, whose time for it may be over.
      open.isReuse = begunAt < open.since || loop.isLong(handshakeSince: begunAt)
      tunnel.begin(open)
    } else if loop.stopsAt != nil || loop.isRetired {
      tunnel.close()
    } else {
      idle.put(tunnel, now: loop.now)
      expireLater()
    }
  }

  /// One of those that wait is told, the one that has waited longest, unless others are being dialled
  /// for all of them. A peer that breaks off a handshake may have had too many under way: then it is
  /// asked once more.
  func dialFailed(_ error: TunnelError) {
    dials -= 1
    loop.prepared.lost(peer)
    waiting.removeAll(where: \.isOver)
    if waiting.count > dials {
      if error.isPassing, let open = waiting.first(where: { !$0.hasFailedOnce }) {
        open.hasFailedOnce = true
      } else {
        waiting.removeFirst().fail(error, in: loop)
      }
    }
    // Not from within the failure of this one: a dial may fail at once, and thousands may wait.
    loop.later { [weak self] _ in self?.dialForWaiting() }
  }

  /// Has a tunnel made for each that waits, as many at a time as may be.
  private func dialForWaiting() {
    while dials < waiting.count, dial() {}
  }

  /// No more streams are opened.
  func stop() {
    let all = waiting
    waiting = []
    for open in all { open.fail(EHOSTUNREACH, "this runner is shutting down", in: loop) }
    for tunnel in idle.takeAll() { tunnel.close() }
    loop.cancel(expiry)
    expiry = nil
  }

  private func noteIdle() {
    guard (idle.count > 0) != hasNoted else { return }
    hasNoted = idle.count > 0
    loop.shared.idleTunnels.note(peer, loop.index, hasIdle: hasNoted)
  }

  private func nextWaiting() -> PendingOpen? {
    while !waiting.isEmpty {
      let open = waiting.removeFirst()
      if !open.isOver { return open }
    }
    return nil
  }

  /// Begins to make a tunnel; whether another one may be begun.
  @discardableResult
  private func dial() -> Bool {
    guard dials < mostDials, loop.stopsAt == nil, loop.hasRoomForTunnel else { return false }
    dials += 1
    do {
      let outgoing = try OutgoingTunnel(loop, for: self)
      loop.dialing[ObjectIdentifier(outgoing)] = outgoing
      return true
    } catch {
      let error = error as? TunnelError ?? .ended(.closed, peer: peer.runner.name, "\(error)")
      loop.shared.observe(.handshakeFailed(error, incoming: false))
      dialFailed(error)
      return false
    }
  }

  /// How many tunnels are made at a time. While the runners do not know each other yet there are few: each of these
  /// costs more than twice as much as one that comes after the first.
  private var mostDials: Int {
    let most = loop.shared.configuration.maximumDialsPerPeer
    return loop.shared.identities?.knows(peer.runner) == true ? most : min(most, 4)
  }

  private func expireLater() {
    guard expiry == nil else { return }
    let timeout = loop.shared.configuration.idleTimeout.nanoseconds
    expiry = loop.after(timeout / 4 + 1_000_000) { [weak self] in
      guard let self else { return }
      expiry = nil
      ready = max(1, ready / 2)
      for tunnel in idle.takeIdle(since: loop.now < timeout ? 0 : loop.now - timeout, keeping: 1) {
        tunnel.close()
      }
      // The last one is there for the next stream.
      let ready = loop.shared.configuration.readyTimeout.nanoseconds
      if !isInUse, !loop.prepared.contains(peer) {
        for tunnel in idle.takeIdle(since: loop.now < ready ? 0 : loop.now - ready) {
          tunnel.close()
        }
      }
      if isUnused { loop.pools[peer] = nil } else { expireLater() }
    }
  }

  /// Whether nothing is left of it. Tunnels that carry streams come back to it.
  private var isUnused: Bool {
    waiting.isEmpty && dials == 0 && idle.count == 0 && !isInUse
  }

  /// Whether there are tunnels that carry streams, or are asked for one.
  private var isInUse: Bool {
    loop.tunnels.values.count { $0.pool === self } > idle.count
  }
}
