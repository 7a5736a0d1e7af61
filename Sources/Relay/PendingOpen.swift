import CLinux
import Glibc
import Tunnel

/// A stream that has been asked for and not been answered.
final class PendingOpen {
  /// What it is for.
  enum Purpose {
    /// A new connection, and who waits for it.
    case open(StreamRequest, @Sendable (Result<RelayStream, StreamRefusal>) -> Void)
    /// A stream of which one direction moves to another tunnel.
    case move(Stream, StreamDirection)
  }

  /// How long is waited, in nanoseconds.
  struct Patience {
    /// For a tunnel, and then for the peer to acknowledge what was sent.
    let contact: UInt64
    /// For the answer, once the peer has acknowledged.
    let answer: UInt64
    /// Whether anybody still waits for it.
    let isWanted: @Sendable () -> Bool
  }

  let purpose: Purpose
  let peer: TunnelPeer
  let patience: Patience
  private var deadline: Deadline?
  /// Since when it waits for what it waits for now.
  private(set) var since: UInt64 = 0
  /// The tunnel on which it waits for the answer.
  weak var tunnel: TunnelConnection?
  /// Whether that tunnel is older than this, so that the peer may have ended it.
  var isReuse = false
  /// How often it has been asked on a tunnel.
  private var tries = 0
  /// On how many of these the peer refused this runner's certificate.
  var refusals = 0
  /// Whether a tunnel that was made for it has failed already.
  var hasFailedOnce = false
  private(set) var isOver = false

  init(_ purpose: Purpose, to peer: TunnelPeer, patience: Patience) {
    (self.purpose, self.peer, self.patience) = (purpose, peer, patience)
  }

  /// Whether another tunnel may be tried where this one has ended. Not without end: the peer may end each, whether it says
  /// why or not. That it refused a certificate is no reason to give up at once: this runner may have had another one.
  var mayTryAgain: Bool {
    isReuse && !isOver && refusals < 3 && tries < 2 * PeerPool.mostReady && patience.isWanted()
  }

  /// It begins to wait for a tunnel of `pool`. That others are before it is no reason to give up as long as
  /// there is progress.
  func awaitTunnel(of pool: PeerPool, in loop: EventLoop) {
    since = loop.now
    tunnel = nil
    remind(after: patience.contact, in: loop) { [weak self, weak pool] in
      guard let self, let pool else { return }
      if pool.lastProgress > since { return awaitTunnel(of: pool, in: loop) }
      fail(
        ETIMEDOUT, "no tunnel to \(peer.runner.name) could be had in time", isSilence: true,
        in: loop)
    }
  }

  /// It is sent on `tunnel` next, and waits for the answer. Where the service is busy that may take as long as
  /// with plain TCP; where the runner has gone it does not acknowledge.
  func awaitAnswer(on tunnel: TunnelConnection, in loop: EventLoop) {
    since = loop.now
    self.tunnel = tunnel
    tries += 1
    awaitAnswer(in: loop)
  }

  private func awaitAnswer(in loop: EventLoop) {
    let waited = loop.now - since
    remind(after: min(patience.contact, patience.answer - min(waited, patience.answer)), in: loop) {
      [weak self] in
      guard let self, let tunnel else { return }
      let isOver = loop.now - since >= patience.answer || !patience.isWanted()
      let isReached = linux_tcp_silence(tunnel.channel.descriptor) == 0
      if !isOver, isReached, !tunnel.isUnread { return awaitAnswer(in: loop) }
      // What the peer will yet say on that tunnel is unknown, so it is of no more use.
      let pool = tunnel.pool
      // The kernel would go on sending the request, and the far program get a connection that nobody asks for any
      // more, once the network is mended.
      if !isReached, isAlone(on: tunnel) { linux_reset_on_close(tunnel.channel.descriptor) }
      tunnel.close()
      // The stream before may have left bytes there that its program does not read, and this one waits behind them:
      // a runner of an older version does not say when it has read all.
      if !isOver, isReached, let pool { return pool.requestNew(self) }
      fail(
        ETIMEDOUT, "\(peer.runner.name) did not answer in time", isReached: isReached,
        isSilence: !isReached, in: loop)
    }
  }

  /// Whether the peer has acknowledged all that was sent on the tunnel before the request, which is the last record
  /// there: then a reset loses nothing of the stream before.
  private func isAlone(on tunnel: TunnelConnection) -> Bool {
    guard let frame = try? preface.frame() else { return false }  // it was sent, so it has one
    let unacknowledged = Int(linux_unacknowledged(tunnel.channel.descriptor))
    return (0...frame.count + RecordCipher.overhead).contains(unacknowledged)
  }

  private func remind(
    after nanoseconds: UInt64, in loop: EventLoop, _ action: @escaping () -> Void
  ) {
    loop.cancel(deadline)
    deadline = loop.after(nanoseconds, action)
  }

  var preface: StreamPreface {
    switch purpose {
    case .open(let request, _): .open(request)
    case .move(let stream, let direction): .resume(stream.token, sending: direction == .receiving)
    }
  }

  /// Ends it without a stream, since its tunnel broke or could not be made. That the other runner's port refuses says
  /// nothing about the service's.
  func fail(_ error: TunnelError, in loop: EventLoop) {
    let isLate = error.kind == .timedOut || error.kind == .system(.timedOut)
    fail(
      isLate ? ETIMEDOUT : EHOSTUNREACH, error.description, isSilence: error.isSilence, in: loop)
  }

  /// Ends it without a stream, once. `isReached` where the peer was there, whatever it said; `isSilence` where nothing
  /// came from it.
  func fail(
    _ errno: Int32, _ cause: String, isReached: Bool = false, isSilence: Bool = false,
    in loop: EventLoop
  ) {
    guard end(in: loop) else { return }
    switch purpose {
    case .open(_, let completion):
      loop.counters.streamsRefused.add(1)
      completion(
        .failure(
          StreamRefusal(errno: errno, cause: cause, isReached: isReached, isSilence: isSilence)))
    case .move(let stream, let direction): stream.moveFailed(direction, errno)
    }
  }

  /// Whether it was not over yet; it is now.
  func end(in loop: EventLoop) -> Bool {
    guard !isOver else { return false }
    isOver = true
    loop.cancel(deadline)
    deadline = nil
    if case .open = purpose { loop.asked.wrappingSubtract(1, ordering: .relaxed) }
    return true
  }
}
