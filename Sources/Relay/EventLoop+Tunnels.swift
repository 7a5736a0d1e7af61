import CLinux
import Glibc
import LinuxSystem
import Tunnel

/// What the relay's other threads ask a loop for.
extension EventLoop {
  func listen(on socket: consuming OwnedDescriptor) {
    guard stopsAt == nil, let listener = Listener(self, socket) else { return }
    listeners.append(listener)
  }

  /// Begins the handshake of a connection that was accepted.
  func accept(_ socket: consuming OwnedDescriptor, from address: String) {
    guard stopsAt == nil, hasRoomForTunnel,
      let handshake = IncomingTunnel(self, socket, from: address)
    else { return }
    let limit = max(1, shared.configuration.maximumHalfOpen / siblings.count)
    guard let evicted = halfOpen.add(handshake, limit: limit) else { return }
    counters.handshakesEvicted.add(1)
    evicted.close()
  }

  func open(_ open: PendingOpen) {
    guard stopsAt == nil else {
      return open.fail(EHOSTUNREACH, "this runner is shutting down", in: self)
    }
    pool(open.peer).request(open)
  }

  func pool(_ peer: TunnelPeer) -> PeerPool {
    if let pool = pools[peer] { return pool }
    let pool = PeerPool(peer, in: self)
    pools[peer] = pool
    return pool
  }

  func join(_ handoff: DescriptorHandoff, to id: UInt64) {
    guard let stream = unjoined.removeValue(forKey: id), let socket = handoff.take() else {
      return handoff.reset()
    }
    stream.join(socket)
  }

  func abandon(_ id: UInt64) {
    unjoined.removeValue(forKey: id)?.abandon()
  }

  func killTunnels(where isMeant: (PeerCertificate) -> Bool) {
    let meant = tunnels.values.filter { isMeant($0.channel.peer) }
    guard !meant.isEmpty else { return }
    for tunnel in meant {
      tunnel.kill(.ended(.revoked, peer: tunnel.channel.peer.runner.name, "its tunnel was ended"))
    }
    shared.observe(.tunnelsKilled(meant.count))
  }

  var hasRoomForTunnel: Bool { tunnels.count < mostTunnels }

  /// Whether there is room for tunnels that nobody waits for.
  var hasAmpleRoomForTunnels: Bool { tunnels.count < max(1, mostTunnels / 2) }

  private var mostTunnels: Int { max(1, shared.configuration.maximumTunnels / siblings.count) }

  /// Takes over a tunnel whose handshake has ended, and whose socket `source` watched.
  @discardableResult
  func addTunnel(
    _ channel: TunnelChannel, pool: PeerPool?, insteadOf source: EventSource
  ) -> TunnelConnection? {
    keepAlive(channel.descriptor)
    TunnelCongestion.settle(channel.descriptor)
    counters.handshakes.add(1)
    if channel.isResumed { counters.handshakesResumed.add(1) }
    // Denied while the handshake went on, after its certificate was looked at.
    guard shared.identities?.isDenied(channel.peer.serial) == false else {
      forget(source)
      return nil
    }
    let tunnel = TunnelConnection(channel, in: self, pool: pool)
    guard watch(tunnel, channel.descriptor, insteadOf: source) else { return nil }
    adopt(tunnel)
    shared.observe(
      .tunnelReady(
        channel.peer, incoming: pool == nil, send: channel.sendMode, receive: channel.receiveMode))
    // What came with the handshake's last bytes raises no event of its own.
    if pool == nil { isRetired ? tunnel.close() : tunnel.dispatch() }
    return tunnel
  }

  /// Counts `tunnel` as one of this loop's.
  func adopt(_ tunnel: TunnelConnection) {
    tunnels[tunnel.id] = tunnel
    watchPeers()
    counters.tunnelsLive.add(1)
    if tunnel.isKernel { counters.tunnelsKernel.add(1) }
  }

  /// Counts it no more.
  func drop(_ tunnel: TunnelConnection) {
    guard tunnels.removeValue(forKey: tunnel.id) != nil else { return }
    if let pool = tunnel.pool { prepared.lost(pool.peer) }
    counters.tunnelsLive.add(-1)
    if tunnel.isKernel { counters.tunnelsKernel.add(-1) }
  }
}
