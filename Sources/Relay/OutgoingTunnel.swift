import CLinux
import Glibc
import LinuxSystem
import SystemPackage
import Tunnel

/// A tunnel to another runner that is being made: connect, then handshake.
final class OutgoingTunnel: EventSource {
  private unowned let loop: EventLoop
  private let pool: PeerPool
  private let descriptor: Int32
  private let handshake: TunnelHandshake
  private var isConnected = false
  private let begunAt: UInt64
  private var deadline: Deadline?

  /// Begins; throws `TunnelError` where it cannot even begin.
  init(_ loop: EventLoop, for pool: PeerPool) throws {
    let (peer, configuration) = (pool.peer, loop.shared.configuration)
    let name = "\(peer.runner.name) at \(peer.address)"
    guard let identities = loop.shared.identities else {
      throw TunnelError.ended(.handshake, peer: name, "this relay has no identity")
    }
    descriptor = linux_tcp_socket(peer.address.family)
    guard descriptor >= 0 else { throw TunnelError.system(.last, peer: name, "make a socket") }
    let socket = OwnedDescriptor(owning: descriptor)
    linux_tcp_no_delay(descriptor)
    TunnelCongestion.begin(descriptor)
    if peer.address.connect(descriptor) != 0, Errno.last != .nowInProgress {
      throw TunnelError.system(.last, peer: name, "connect")
    }
    handshake = try TunnelHandshake(
      .client(expected: peer.runner), on: socket, peer: name,
      identities: identities, allowsKernel: configuration.usesKernelTLS)
    (self.loop, self.pool, begunAt) = (loop, pool, loop.now)
    super.init()
    guard loop.watch(self, descriptor) else {
      throw TunnelError.system(.last, peer: name, "watch a socket")
    }
    deadline = loop.after(configuration.handshakeTimeout.nanoseconds) { [weak self] in
      self?.fail(.ended(.timedOut, peer: name, "the connection or the handshake took too long"))
    }
  }

  override func handle(_ events: UInt32) {
    if !isConnected {
      // A socket that is not connected yet reports EPOLLHUP too when it is registered.
      guard events & (linux_epoll_out | linux_epoll_error) != 0 else { return }
      let code = linux_socket_error(descriptor)
      guard code == 0 else {
        let name = "\(pool.peer.runner.name) at \(pool.peer.address)"
        return fail(.system(Errno(rawValue: code < 0 ? EBADF : code), peer: name, "connect"))
      }
      // EPOLLOUT comes before the connection is there, as EPOLLOUT | EPOLLHUP.
      if events & linux_epoll_hangup != 0 { return }
      isConnected = true
    }
    switch handshake.advance() {
    case .waiting: break
    case .failed(let error): fail(error)
    case .done(let channel):
      finish()
      if let tunnel = loop.addTunnel(channel, pool: pool, insteadOf: self) {
        pool.dialSucceeded(tunnel, begunAt: begunAt)
      } else {
        pool.dialFailed(.system(.noMemory, peer: pool.peer.runner.name, "keep the tunnel"))
      }
    }
  }

  private func finish() {
    loop.cancel(deadline)
    loop.dialing[ObjectIdentifier(self)] = nil
  }

  private func fail(_ cause: TunnelError) {
    let error = isTooBusy(cause) ? busy(cause) : cause
    loop.counters.handshakesFailed.add(1)
    loop.shared.observe(.handshakeFailed(error, incoming: false))
    close()
    pool.dialFailed(error)
  }

  /// Whether the peer broke it off after half of the time that it may take: one that does so at once does not want
  /// it, and this one had not come to it when its own time was over.
  private func isTooBusy(_ error: TunnelError) -> Bool {
    error.isPassing && loop.isLong(handshakeSince: begunAt)
  }

  /// The same as if this runner's time had been over first: the connects that wait are tried again.
  private func busy(_ error: TunnelError) -> TunnelError {
    .ended(
      .timedOut, peer: error.peer,
      "\(error.cause), \((loop.now - begunAt) / 1_000_000_000) s after it began: it has too much to do"
    )
  }

  /// Ends it; its socket closes with it.
  func close() {
    finish()
    loop.forget(self)
  }
}

extension EventLoop {
  /// Whether a handshake that was begun then, in nanoseconds, has taken half of the time that it may, so that the
  /// peer's time for it may be over.
  func isLong(handshakeSince begunAt: UInt64) -> Bool {
    now - begunAt >= shared.configuration.handshakeTimeout.nanoseconds / 2
  }
}
