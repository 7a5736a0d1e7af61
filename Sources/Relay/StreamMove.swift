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

  var isUnderWay: Bool { isRequested || next != nil }
  /// Whether the old tunnel has nothing more, and the new one is not known yet.
  var awaitsNext: Bool { hasReceivedMove && next == nil }
}

extension Stream {
  private static let attempts = 5

  private var limit: KeyUsageLimit { loop.shared.configuration.keyUsage }

  /// Begins to move where the key nears its limit; whether nothing may be sealed before that is done.
  func mustMoveFirst() -> Bool {
    guard limit.isNear(out.channel.recordsSent), move.next == nil else { return false }
    if isOpener { requestMove() }
    return limit.isReached(out.channel.recordsSent)
  }

  /// Asks for the stream on another tunnel.
  func requestMove() {
    guard isOpener, !move.isUnderWay, move.failures < Self.attempts, let pool = out.pool else {
      return
    }
    move.isRequested = true
    // Not from within this stream's own work: the answer to a request may come at once.
    let open = PendingOpen(.move(self), to: pool.peer)
    loop.later { loop in
      guard !self.isOver else { return }
      loop.open(open, timeout: loop.shared.configuration.answerTimeout)
    }
  }

  /// Whether the peer of `tunnel` may continue the stream there.
  func mayMove(to tunnel: TunnelConnection) -> Bool {
    !isOver && !isOpener && move.next == nil && tunnel !== out
      && tunnel.channel.peer.runner == peer.runner
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
    move.failures = errno == ESRCH ? Self.attempts : move.failures + 1
    if move.failures >= Self.attempts, !hasSentEnd, limit.isReached(out.channel.recordsSent) {
      return fail(
        .ended(
          .timedOut, peer: peer.runner.name, "its key is used up, and there is no other tunnel"))
    }
    if move.failures < Self.attempts {
      _ = loop.after(UInt64(move.failures) * 200_000_000) { [weak self] in self?.run() }
    }
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
  }
}
