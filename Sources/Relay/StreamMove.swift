import Glibc
import Tunnel

/// One of the two directions of a stream, as this runner sees it.
enum StreamDirection {
  /// From the socket into the tunnel.
  case sending
  /// From the tunnel to the socket.
  case receiving
}

/// Where one direction of a stream is on its way from a tunnel whose key is used up to a fresh one.
///
/// The opener names the stream and the direction on the fresh tunnel. When the other side has
/// accepted, the sender says MOVE as the last frame on the old tunnel and goes on on the new one, and
/// the receiver reads the old one up to that MOVE: no byte is lost, and none overtakes another. Each
/// direction moves by itself, so that one which is blocked does not hold up the other.
struct StreamMove {
  /// The fresh tunnel, when it has been accepted.
  var next: TunnelConnection?
  /// Whether the opener has asked, and waits for a tunnel or the answer.
  var isRequested = false
  /// Whether the acceptor, sending, has asked the opener to make a tunnel.
  var hasRequested = false
  /// Whether MOVE has been appended, or has come.
  var hasMove = false
  /// How often it failed.
  var failures = 0
  /// Whether the other side knows the stream no more.
  var isImpossible = false
  /// When it may be asked for again.
  var retryTime: UInt64 = 0

  var isUnderWay: Bool { isRequested || next != nil }
}

extension Stream {
  private var limit: KeyUsageLimit { loop.shared.configuration.keyUsage }

  subscript(direction: StreamDirection) -> StreamMove {
    get { direction == .sending ? moveOut : moveIn }
    set { if direction == .sending { moveOut = newValue } else { moveIn = newValue } }
  }

  /// Whether nothing may be sealed before the stream has moved.
  var mustMoveFirst: Bool { limit.isReached(out.channel.recordsSent) }

  /// Whether the key nears its limit. What the other side has not read of the tunnel before is waited
  /// for, so that tunnels do not pile up.
  private var wantsToMoveOut: Bool { unread == nil && limit.isNear(out.channel.recordsSent) }

  /// Asks for a move where a key nears its limit: this runner's, or the other's, which asked for it.
  func moveIfNeeded() {
    guard isOpener else { return }
    if !hasSentEnd, wantsToMoveOut { requestMove(.sending) }
    if !hasReceivedEnd, incoming.isSpent { requestMove(.receiving) }
  }

  private func requestMove(_ direction: StreamDirection) {
    let move = self[direction]
    guard !move.isUnderWay, !move.isImpossible, loop.now >= move.retryTime, let pool = out.pool
    else { return }
    self[direction].isRequested = true
    // Not from within this stream's own work: the answer to a request may come at once.
    let limit = loop.shared.configuration.peerTimeout.nanoseconds
    let open = PendingOpen(
      .move(self, direction), to: pool.peer, patience: .init(contact: limit, answer: limit) { true }
    )
    loop.later { loop in if !self.isOver { loop.open(open) } }
  }

  /// What the peer of `tunnel` is answered when it continues `direction` there: 0, EAGAIN while the
  /// last move is under way here, or ESRCH where the stream is not its own.
  func answerToMove(_ direction: StreamDirection, to tunnel: TunnelConnection) -> Int32 {
    guard !isOver, !hasSentDone, tunnel.channel.peer.runner == peer.runner else { return ESRCH }
    return self[direction].next == nil ? 0 : EAGAIN
  }

  /// Both sides go on with `tunnel`.
  func moveAccepted(_ direction: StreamDirection, _ tunnel: TunnelConnection) {
    guard !isOver else { return tunnel.close() }
    self[direction].isRequested = false
    self[direction].next = tunnel
    run()
  }

  /// There is no other tunnel for now, or the other side has ended the stream already.
  func moveFailed(_ direction: StreamDirection, _ errno: Int32) {
    guard !isOver else { return }
    self[direction].isRequested = false
    // The other side has ended the stream, and its END is under way: there is nothing to move.
    guard errno != ESRCH else {
      self[direction].isImpossible = true
      return run()
    }
    // Until it succeeds: meanwhile a direction whose key is used up stands still, and loses nothing.
    self[direction].failures += 1
    let pause: UInt64 = errno == EAGAIN ? 5_000_000 : 200_000_000
    let delay = UInt64(min(self[direction].failures, 25)) * pause
    self[direction].retryTime = loop.now + delay
    _ = loop.after(delay) { [weak self] in self?.run() }
    run()
  }

  /// Appends the frame that a move has due, if one is, or goes on to the fresh tunnel.
  func sendMoveFrames() -> Bool {
    if let next = moveOut.next {
      if !moveOut.hasMove {
        moveOut.hasMove = true
        return append(.move)
      }
      // The MOVE has been sent, since what was appended is always flushed first.
      let old = out
      out = next
      moveOut = StreamMove()
      apply(.sending)
      loop.counters.streamsMoved.add(1)
      if old !== incoming {
        unread = old
        old.leave(self)
      }
      return true
    }
    if !isOpener, !moveOut.hasRequested, wantsToMoveOut {
      moveOut.hasRequested = true
      return append(.moveRequest)
    }
    return false
  }

  /// Goes on reading from the fresh tunnel where the old one has had its MOVE; whether it does.
  func switchIncoming() -> Bool {
    guard moveIn.hasMove, let next = moveIn.next else { return false }
    let old = incoming
    incoming = next
    moveIn = StreamMove()
    apply(.receiving)
    loop.counters.streamsMoved.add(1)
    if old !== out { old.leave(nil) }
    return true
  }

  /// The other side has read all of `tunnel`, which this one had left.
  func hasBeenRead(_ tunnel: TunnelConnection) {
    guard unread === tunnel else { return }
    unread = nil
    if !isOver { loop.schedule(self) }
  }
}
