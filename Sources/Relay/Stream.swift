import CLinux
import Glibc
import LinuxSystem
import Model
import SystemPackage
import Tunnel

/// One connection: a socket of this runner and the tunnel that carries it; when one direction has
/// moved, a tunnel for each.
///
/// Each direction ends by itself, with END or RESET in the tunnel and FIN or RST at the socket; the
/// stream is over when both have ended and everything is delivered.
final class Stream: SocketOwner {
  unowned let loop: EventLoop
  let token: StreamToken
  /// Whether this runner asked for it, and so is the one that makes tunnels for it.
  let isOpener: Bool
  /// Whether the other runner knows the frame `urgent`; else such bytes are sent as any other.
  let knowsUrgent: Bool
  /// Whether both runners know the frame `done`.
  let knowsDone: Bool
  let peer: PeerCertificate
  /// Whose it is.
  let deployment: DeploymentName
  private(set) var local: LocalSocket?
  private let reachability: PeerReachability
  private(set) var isOver = false
  var isScheduled = false

  // From the socket into the tunnel.
  /// The tunnel that is sent into.
  var out: TunnelConnection
  /// Whether END or RESET has been appended.
  var hasSentEnd = false
  /// The RESET that is to be sent at the next boundary of frames, even after an END.
  var resetDue: Int32?
  var hasSentReset = false
  /// How many bytes the runner that opened it has sent.
  var openerBytes = 0
  /// Whether `done` has been appended.
  var hasSentDone = false
  /// With kernel TLS, the payload of the frame that is being sent.
  var outPipe: Pipe?
  var isHeaderDue = false

  // From the tunnel to the socket.
  /// The tunnel that is read from.
  var incoming: TunnelConnection
  /// What has not come yet of a frame's payload.
  var frameLeft = 0
  /// Whether END or RESET has come.
  var hasReceivedEnd = false
  /// Whether `done` has come.
  var hasReceivedDone = false
  /// Whether the socket gets a FIN when all is delivered.
  var isShutdownDue = false
  /// Whether the socket is reset when all that came before the RESET is delivered.
  var isResetDue = false
  private var joinedAt: UInt64 = 0
  /// When the program has had all of it is looked at again.
  private var resetCheck: Deadline?
  /// How many bytes the program still had to get when that was last looked at, and since when it is that number.
  private var undelivered: (count: Int, since: UInt64)?
  /// An urgent byte that follows all that came before.
  var urgentDue: UInt8?
  /// In user space, what the socket has not taken.
  var held = HeldBytes()
  /// With kernel TLS, the same.
  var inPipe: Pipe?

  // On the way from one tunnel to another.
  var moveOut = StreamMove()
  var moveIn = StreamMove()
  /// The tunnel that was left last, until the other side has read all of it.
  weak var unread: TunnelConnection?
  var windows = Windows()
  /// When a RESET overtakes the bytes before it.
  private var overtaking: Deadline?

  init(
    token: StreamToken, on tunnel: TunnelConnection, isOpener: Bool, knowsUrgent: Bool,
    knowsDone: Bool, deployment: DeploymentName
  ) {
    (self.token, self.isOpener, loop) = (token, isOpener, tunnel.loop)
    (self.knowsUrgent, self.knowsDone) = (knowsUrgent, knowsDone)
    self.deployment = deployment
    (out, incoming, peer) = (tunnel, tunnel, tunnel.channel.peer)
    reachability = tunnel.loop.reachability(of: tunnel.channel.peer.runner)
    loop.streams[ObjectIdentifier(self)] = self
    reachability.add(self)
    loop.counters.streamsLive.add(1)
    if !isOpener { loop.accepted[token] = self }
  }

  /// Begins to move bytes between the tunnel and `socket`.
  func join(_ socket: consuming OwnedDescriptor) {
    let local = LocalSocket(socket, in: loop)
    guard local.watch() else {
      local.reset()
      return abandon()
    }
    join(local)
  }

  /// Begins to move bytes between the tunnel and `local`, which is watched already.
  func join(_ local: LocalSocket) {
    guard !isOver else { return local.reset() }
    joinedAt = loop.now
    self.local = local
    local.owner = self
    // One that another process had.
    local.hasShutDown = hasReceivedEnd && !isShutdownDue
    beginWindows()
    run()
  }

  /// Nobody wants it any more: the far program gets an RST.
  func abandon() {
    guard !isOver else { return }
    resetDue = ECONNRESET
    isLocalGone = true
    run()
  }

  /// Whether the program's part is over, and the tunnel's is not.
  private(set) var isLocalGone = false

  /// Whether what comes is thrown away, the program being gone.
  var discards: Bool { local == nil || local?.failure != nil }

  /// Moves what can be moved now.
  func run() {
    // Before `join` what comes waits in the tunnel's socket.
    guard !isOver, local != nil || isLocalGone else { return }
    if local?.failure != nil { localFailed() }
    let hasMoreOut = pumpOut()
    guard !isOver else { return }
    let hasMoreIn = pumpIn()
    guard !isOver else { return }
    // What came in may have given reason to send: the answer to a RESET, the end of a move.
    let hasMoreAgain = hasWorkOut ? pumpOut() : false
    guard !isOver else { return }
    if finishIfDone() { return }
    if !hasMoreIn, isDoomed { return failDoomed() }
    moveIfNeeded()
    if hasMoreOut || hasMoreIn || hasMoreAgain { loop.schedule(self) }
  }

  /// Whether there are frames to send that are not the socket's bytes.
  private var hasWorkOut: Bool {
    resetDue != nil || moveOut.next != nil
  }

  /// Whether a tunnel has ended although the other side cannot have had the END that is its reason
  /// to. Without this a program that does not read would learn of it only when it does.
  ///
  /// Where this side's END has been sent, the other's may be among what waits: only reading tells.
  private var isDoomed: Bool {
    !hasSentEnd && (out.hasHungUp || incoming.hasHungUp && !moveIn.isUnderWay)
  }

  private func failDoomed() {
    let error = linux_socket_error((out.hasHungUp ? out : incoming).channel.descriptor)
    fail(
      error > 0
        ? .system(Errno(rawValue: error), peer: peer.runner.name, "go on")
        : .ended(.closed, peer: peer.runner.name, "it closed the connection"))
  }

  /// The program's connection was broken off: what is there for it is dropped. What it had sent before goes on,
  /// since over TCP the far program would have had it; but not for long where that one does not read, which over
  /// TCP would have had the RST.
  private func localFailed() {
    dropDeliveries()
    if hasSentEnd || isResetDue { return localEnded() }
    overtakeLater()
  }

  /// Ends the tunnels by RST where nothing moves in them and the RESET is not answered: the far program does not
  /// read, and so the RESET waits behind the bytes that it has not read.
  private func overtakeLater() {
    if overtaking == nil {
      overtake(acknowledged: linux_tcp_acknowledged(out.channel.descriptor), checks: 0)
    }
  }

  private func overtake(acknowledged: UInt64, checks: Int) {
    overtaking = loop.after(1_000_000_000) { [weak self] in
      guard let self, !isOver else { return }
      let now = linux_tcp_acknowledged(out.channel.descriptor)
      if now != acknowledged { return overtake(acknowledged: now, checks: 0) }
      // All of it may have come, and wait for a program that reads slowly.
      let isThere = linux_unacknowledged(out.channel.descriptor) == 0
      if isThere, checks < 4 { return overtake(acknowledged: now, checks: checks + 1) }
      for tunnel in [out, incoming] { linux_reset_on_close(tunnel.channel.descriptor) }
      shutDown()
    }
  }

  /// The program's connection was broken off, and all that it had sent has been read.
  func localEnded() {
    guard let local else { return }
    let code = local.failure
    local.reset()
    dropLocal()
    guard !hasSentReset, !(hasSentEnd && hasReceivedEnd) else { return }
    resetDue = code == ETIMEDOUT ? code : ECONNRESET
    overtakeLater()
  }

  /// The far program's connection was reset: so is this one, once it has had what came before, and the far
  /// runner is answered.
  func received(reset errno: Int32) {
    hasReceivedEnd = true
    isShutdownDue = false
    if !hasSentEnd { resetDue = errno }
    isResetDue = local != nil
  }

  /// Resets the program's connection when its kernel has all that came before the RESET. A program that does
  /// not read has its window full: then TCP too would lose the rest.
  func resetWhenDelivered() {
    guard isResetDue, let local else { return }
    let count =
      max(0, Int(linux_unacknowledged(local.descriptor))) + held.bytes.count + (inPipe?.count ?? 0)
    if undelivered?.count != count { undelivered = (count, loop.now) }
    let isStalled = undelivered.map { loop.now - $0.since >= Self.stalled } ?? false
    guard count > 0 && !isStalled || isOpener && loop.now - joinedAt < Self.settles else {
      local.reset()
      return dropLocal()
    }
    guard resetCheck == nil else { return }
    resetCheck = loop.after(Self.stalled / 20) { [weak self] in
      self?.resetCheck = nil
      self?.run()
    }
  }

  /// How long a program's kernel may acknowledge nothing of what came before a RESET, in nanoseconds.
  private static let stalled: UInt64 = 100_000_000
  /// How old a program's connection must be to be reset, in nanoseconds: the connect(2) of one that is not
  /// scheduled at once would fail with the reset of a connection that was made.
  private static let settles: UInt64 = 20_000_000

  private func dropLocal() {
    local = nil
    isLocalGone = true
    isResetDue = false
    dropDeliveries()
  }

  private func dropDeliveries() {
    held.clear()
    if let pipe = inPipe.take() { loop.pipes.put(pipe) }
    (isShutdownDue, urgentDue) = (false, nil)
  }

  // MARK: - The end

  /// Ends it where everything is done: the tunnel is free then.
  private func finishIfDone() -> Bool {
    guard isDone else { return false }
    if endsWithDone, !(isOpener ? hasReceivedDone : hasSaidDone()) {
      // The program's part is over.
      local?.finishLater()
      (local, isLocalGone) = (nil, true)
      return isOver
    }
    end()
    let isUnread = isOpener && !knowsDone && openerBytes > Frame.unconfirmed
    out.release(isUnread: isUnread)
    if incoming !== out { incoming.release(isUnread: isUnread) }
    return true
  }

  /// Whether the runner that accepted says `done`, and the other waits for that.
  private var endsWithDone: Bool { knowsDone && openerBytes > Frame.unconfirmed }

  /// Whether both directions have ended and everything has been moved.
  var isDone: Bool { hasMovedAll && out.channel.isFlushed }

  /// The same but for what the tunnel's socket has not taken.
  private var hasMovedAll: Bool {
    hasSentEnd && resetDue == nil && hasReceivedEnd && outPipe == nil && held.isEmpty
      && inPipe == nil && !isShutdownDue && !isResetDue && urgentDue == nil && !moveOut.isUnderWay
      && !moveIn.isUnderWay
  }

  /// Whether the opener waits for `done`, without which it cannot know that the far program has read all: the next
  /// stream would wait behind what it has not.
  var awaitsDone: Bool { isOpener && endsWithDone && !hasReceivedDone }

  /// Whether the next frame is `done`.
  var isDoneDue: Bool { !isOpener && endsWithDone && !hasSentDone && hasMovedAll }

  private func hasSaidDone() -> Bool {
    if isDoneDue {
      hasSentDone = true
      guard append(.done) else { return false }
      _ = pumpOut()
    }
    return out.channel.isFlushed
  }

  /// A tunnel ended early or is broken: the program gets an RST, not a FIN that would pass for the
  /// end of what was sent.
  func fail(_ error: TunnelError) {
    guard !isOver else { return }
    loop.counters.streamsTruncated.add(1)
    loop.shared.observe(.streamTruncated(peer, error))
    shutDown()
  }

  /// Resets the program's connection and closes the tunnels.
  func shutDown() {
    guard !isOver else { return }
    local?.reset()
    end()
    closeTunnels()
  }

  /// The tunnel broke before the stream began.
  func abandonBroken() {
    guard !isOver else { return }
    end()
    closeTunnels()
  }

  private func closeTunnels() {
    out.close()
    incoming.close()
    moveOut.next?.close()
    moveIn.next?.close()
    (moveOut, moveIn) = (StreamMove(), StreamMove())
  }

  private func end() {
    local?.finishLater()
    leave()
  }

  /// It is over for this loop.
  private func leave() {
    isOver = true
    loop.cancel(overtaking)
    loop.cancel(resetCheck)
    local = nil
    held.clear()
    // A pipe with bytes in it is not put back.
    for pipe in [outPipe.take(), inPipe.take()] { if let pipe { loop.pipes.put(pipe) } }
    loop.streams[ObjectIdentifier(self)] = nil
    reachability.remove(self)
    endWindows()
    loop.counters.streamsLive.add(-1)
    if !isOpener { loop.accepted[token] = nil }
  }

  // MARK: - In another process

  /// Whether another process could go on with it just now: it has begun, nothing has broken it off, and no part of it is
  /// on the way to another tunnel.
  var isAtRest: Bool {
    let isBroken =
      local?.failure != nil || resetDue != nil || isResetDue || overtaking != nil
      || resetCheck != nil
    let isMoving = unread != nil || moveOut.isUnderWay || moveIn.isUnderWay
    return !isOver && (local != nil || isLocalGone) && !isBroken && !isMoving
      && reachability.isReachable && incoming.reader.beginning != nil
  }

  /// Another process goes on with it, and has its descriptors.
  func letGo() {
    local?.letGo()
    leave()
    out.letGo()
    if incoming !== out { incoming.letGo() }
  }

  /// Goes on where another process was, in which the program's part was over.
  func goOnWithoutLocal() {
    isLocalGone = true
    run()
  }
}
