import Glibc
import Tunnel

/// One loop's tunnels to one peer: those that are idle, and the openings that wait for one.
final class PeerPool {
  let peer: TunnelPeer
  private unowned let loop: EventLoop
  private var idle = IdleTunnels<TunnelConnection>()
  private var waiting: [PendingOpen] = []
  private var dials = 0
  private var expiry: Deadline?

  init(_ peer: TunnelPeer, in loop: EventLoop) { (self.peer, self.loop) = (peer, loop) }

  /// Gives `open` a tunnel: an idle one, else the next that becomes free or is made.
  func request(_ open: PendingOpen) {
    while let tunnel = idle.take() {
      // A peer that has gone since is noticed here at the latest, and the next one is tried.
      guard tunnel.channel.isQuiet else {
        tunnel.close()
        continue
      }
      open.isReuse = true
      loop.counters.tunnelsReused.add(1)
      tunnel.begin(open)
      // One is kept ready for the next, which then needs no handshake.
      if idle.count == 0, dials == 0 { dial() }
      return
    }
    waiting.append(open)
    if dials < waiting.count { dial() }
  }

  /// Takes `tunnel` back, which carries nothing now.
  func put(_ tunnel: TunnelConnection) {
    if loop.stopsAt != nil { return tunnel.close() }
    if let open = nextWaiting() {
      open.isReuse = true
      loop.counters.tunnelsReused.add(1)
      return tunnel.begin(open)
    }
    idle.put(tunnel, now: loop.now)
    expireLater()
  }

  /// An idle tunnel has ended.
  func remove(_ tunnel: TunnelConnection) { idle.remove(tunnel) }

  func dialSucceeded(_ tunnel: TunnelConnection) {
    dials -= 1
    if let open = nextWaiting() {
      open.isReuse = false
      tunnel.begin(open)
    } else if loop.stopsAt != nil {
      tunnel.close()
    } else {
      idle.put(tunnel, now: loop.now)
      expireLater()
    }
  }

  /// All that wait are told: a peer that cannot be reached once is not asked for each of them.
  func dialFailed(_ error: TunnelError) {
    dials -= 1
    let all = waiting
    waiting = []
    // That the other runner's port refuses says nothing about the service's.
    let isLate = error.kind == .timedOut || error.kind == .system(.timedOut)
    for open in all {
      open.fail(isLate ? ETIMEDOUT : EHOSTUNREACH, error.description, in: loop)
    }
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

  private func nextWaiting() -> PendingOpen? {
    while !waiting.isEmpty {
      let open = waiting.removeFirst()
      if !open.isOver { return open }
    }
    return nil
  }

  private func dial() {
    guard dials < loop.shared.configuration.maximumDialsPerPeer, loop.stopsAt == nil,
      loop.hasRoomForTunnel
    else { return }
    dials += 1
    do {
      let outgoing = try OutgoingTunnel(loop, for: self)
      loop.dialing[ObjectIdentifier(outgoing)] = outgoing
    } catch {
      let error = error as? TunnelError ?? .ended(.closed, peer: peer.runner.name, "\(error)")
      loop.shared.observe(.handshakeFailed(error, incoming: false))
      dialFailed(error)
    }
  }

  private func expireLater() {
    guard expiry == nil else { return }
    let timeout = loop.shared.configuration.idleTimeout.nanoseconds
    expiry = loop.after(timeout / 4 + 1_000_000) { [weak self] in
      guard let self else { return }
      expiry = nil
      for tunnel in idle.takeIdle(since: loop.now < timeout ? 0 : loop.now - timeout) {
        tunnel.close()
      }
      if idle.count > 0 { expireLater() } else if isUnused { loop.pools[peer] = nil }
    }
  }

  private var isUnused: Bool { idle.count == 0 && waiting.isEmpty && dials == 0 }
}
