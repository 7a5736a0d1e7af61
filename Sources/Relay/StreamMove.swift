import Glibc
import Tunnel

/// Where a stream is on its way from a tunnel whose key is used up to a fresh one.
///
/// The opener asks for it on the fresh tunnel by the stream's token. When the other side has
/// accepted, each sends MOVE as the last frame on the old tunnel, goes on sending on the new one,
/// and reads the old one up to the other's MOVE: no byte is lost, and none overtakes another.
struct StreamMove {
  /// The fresh tunnel, when it has been accepted.
  var next: TunnelConnection?
  /// Whether the opener has asked, and waits for a tunnel or the answer.
  var isRequested = false
  /// Whether the acceptor has asked the opener to move.
  var hasWished = false
  var hasSentMove = false
  var hasReceivedMove = false
  /// How often it failed.
  var failures = 0
  /// Whether the other side knows the stream no more.
  var isImpossible = false
  /// When it may be asked for again.
  var retryTime: UInt64 = 0

  var isUnderWay: Bool { isRequested || next != nil }
  /// Whether the old tunnel has nothing more, and the new one is not known yet.
  var awaitsNext: Bool { hasReceivedMove && next == nil }
}

extension Stream {
  private var limit: KeyUsageLimit { loop.shared.configuration.keyUsage }

  /// Whether nothing may be sealed before the stream has moved.
  ///
  /// Where this direction has moved and the other has not yet, the new key has its limit too: then it
  /// waits for the other, since a stream makes one move at a time.
  var mustMoveFirst: Bool { limit.isReached(out.channel.recordsSent) }

  /// Asks for a move where a key nears its limit: this runner's, or the other's, which wished for it.
  func moveIfNeeded() {
    guard isOpener else { return }
    if incoming.isSpent || !hasSentEnd && limit.isNear(out.channel.recordsSent) { requestMove() }
  }

  /// Asks for the stream on another tunnel.
  private func requestMove() {
    guard !move.isUnderWay, !move.isImpossible, loop.now >= move.retryTime,
      let pool = out.pool
    else { return }
    move.isRequested = true
    // Not from within this stream's own work: the answer to a request may come at once.
    let open = PendingOpen(.move(self), to: pool.peer)
    loop.later { loop in
      guard !self.isOver else { return }
      loop.open(open, timeout: loop.shared.configuration.answerTimeout)
    }
  }

  /// What the peer of `tunnel` is answered when it continues the stream there: 0, EAGAIN while the
  /// last move is under way here, or ESRCH where the stream is not its own.
  func answerToMove(to tunnel: TunnelConnection) -> Int32 {
    guard !isOver, tunnel.channel.peer.runner == peer.runner else { return ESRCH }
    return move.next == nil ? 0 : EAGAIN
  }

  /// Both sides go on with `tunnel`.
  func moveAccepted(_ tunnel: TunnelConnection) {
    guard !isOver else { return tunnel.close() }
    move.isRequested = false
    move.next = tunnel
    run()
  }

  /// There is no other tunnel for now, or the other side has ended the stream already.
  func moveFailed(_ errno: Int32) {
    guard !isOver else { return }
    move.isRequested = false
    // The other side has ended the stream, and its END is under way: there is nothing to move.
    guard errno != ESRCH else {
      move.isImpossible = true
      return run()
    }
    // Until it succeeds: meanwhile a stream whose key is used up stands still, and loses nothing.
    if errno != EAGAIN { move.failures += 1 }
    let delay: UInt64 = errno == EAGAIN ? 5_000_000 : UInt64(min(move.failures, 25)) * 200_000_000
    move.retryTime = loop.now + delay
    _ = loop.after(delay) { [weak self] in self?.run() }
    run()
  }

  /// Appends the frame that the move has due, if one is, or takes its next step.
  func sendMoveFrames() -> Bool {
    if let next = move.next, out !== next {
      if !move.hasSentMove {
        move.hasSentMove = true
        return append(.move)
      }
      // The MOVE has been sent, since what was appended is always flushed first.
      let old = out
      out = next
      settle(leaving: old)
      return true
    }
    if !isOpener, !move.hasWished, move.next == nil, limit.isNear(out.channel.recordsSent) {
      move.hasWished = true
      return append(.wish)
    }
    return false
  }

  /// Goes on reading from the new tunnel where the old one has had its MOVE; whether it does.
  func switchIncoming() -> Bool {
    guard move.hasReceivedMove, let next = move.next, incoming !== next else { return false }
    let old = incoming
    incoming = next
    settle(leaving: old)
    return true
  }

  private func settle(leaving old: TunnelConnection) {
    guard out === incoming else { return }
    move = StreamMove()
    loop.counters.streamsMoved.add(1)
    old.close()
    // What waited for a fresh key may go on.
    loop.schedule(self)
  }
}
