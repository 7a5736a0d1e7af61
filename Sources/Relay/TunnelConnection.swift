import CLinux
import Glibc
import HandOver
import SystemPackage
import Tunnel

/// A tunnel in its loop: idle, being asked for a stream, or carrying one.
final class TunnelConnection: EventSource {
  /// What the tunnel is doing.
  enum Use {
    /// Made by this runner and in its pool.
    case idle
    /// Asked for a stream; the answer is to come.
    case opening(PendingOpen)
    /// Made by the peer, which may ask for a stream.
    case awaiting
    /// The peer has asked for a stream, and the authorizer or the service is yet to answer.
    case deciding(IncomingStream)
    /// Carries a stream, or part of one that moves.
    case stream(Stream)
    /// Says its last and waits for the peer to close, so that what it said is not lost to an RST.
    case closing
    /// Closed.
    case closed
  }

  let channel: TunnelChannel
  let id: UInt64
  unowned let loop: EventLoop
  /// Where it belongs to, if this runner made it.
  let pool: PeerPool?
  var use: Use
  /// Whether the socket may have bytes to read, or an end or error to tell.
  var isReadable = true
  /// Whether the socket may take bytes.
  var isWritable = true
  /// Whether the peer has ended it, or it is broken: what came before may still be unread.
  private(set) var hasHungUp = false
  /// Whether the peer asked for no more streams on it, its key being used up.
  var isSpent = false
  /// Whether the peer may have bytes of the last stream unread still, behind which the next one waits.
  private(set) var isUnread = false
  /// Whether its runner is so far that the kernel finds out how much there is under way.
  let isFar: Bool
  /// Whether it is not to find out more.
  var isLimited: Bool { unlimited != nil }
  /// What it had found out then, in bytes.
  private var unlimited: Int32?
  /// What the kernel keeps of what comes, unless its runner is far.
  private(set) var unread = UnreadLimit()
  private var unsent: Int32 = 0
  var reader = FrameReader()
  var deadline: Deadline?
  /// Since when the peer has acknowledged nothing of what awaits that.
  var unansweredSince: UInt64?
  /// The stream that went on elsewhere, until the peer has read what it had said here.
  private weak var leftBy: Stream?
  /// The socket that the service is being dialled by.
  var dial: LocalSocket?

  init(_ channel: TunnelChannel, in loop: EventLoop, pool: PeerPool?) {
    (self.channel, self.loop, self.pool) = (channel, loop, pool)
    isFar = TunnelCongestion.isFar(channel.descriptor)
    id = loop.makeID()
    use = pool == nil ? .awaiting : .idle
  }

  var isClosed: Bool { if case .closed = use { true } else { false } }

  var isKernel: Bool { channel.sendMode == .kernel && channel.receiveMode == .kernel }

  override func handle(_ events: UInt32) {
    if events & (linux_epoll_read_hangup | linux_epoll_hangup | linux_epoll_error) != 0 {
      hasHungUp = true
    }
    if events & ~linux_epoll_out != 0 {
      isReadable = true
      channel.noteReadable(hasEnd: hasHungUp)
    }
    if events & ~(linux_epoll_in | linux_epoll_read_hangup) != 0 { isWritable = true }
    dispatch()
  }

  /// Does what its use has to do now.
  func dispatch() {
    switch use {
    case .stream(let stream): stream.run()
    case .idle: checkIdle()
    case .opening(let open): continueOpening(open)
    case .awaiting: continueAwaiting()
    case .deciding: checkDeciding()
    case .closing: drain()
    case .closed: break
    }
  }

  private func checkIdle() {
    guard isReadable else { return }
    // The last stream's reset may have crossed its end.
    while true {
      switch reader.next(from: channel) {
      case .frame(.reset): continue
      case .frame(.moveRequest): isSpent = true
      case .blocked where !reader.isInside && !isSpent:
        isReadable = false
        return
      case .ended(let error, _) where error.kind == .handshake:
        pool?.remove(self)
        pool?.refused()
        return close()
      case .frame, .message, .blocked, .ended:
        pool?.remove(self)
        return close()
      }
    }
  }

  private func checkDeciding() {
    _ = channel.flush()
    // The peer says nothing before the answer: what comes is its end.
    guard isReadable, !channel.isQuiet else { return }
    loop.counters.streamsRefused.add(1)
    close()
  }

  // MARK: - What the kernel keeps

  func raiseUnread(to size: Int32) {
    if !isFar { unread.raise(to: size, on: channel.descriptor) }
  }

  func cutUnread(to size: Int32) {
    if !isFar { unread.cut(to: size, on: channel.descriptor) }
  }

  /// Takes up to half of `window` beyond what its peer has room for.
  func limitUnsent(_ window: Int32) {
    if unsent != window { BufferLimits.limitUnsent(channel.descriptor, window) }
    unsent = window
  }

  /// Where its runner is far, keeps up to `window` bytes of what comes until `unlimit`.
  func limit(_ window: Int32) {
    unlimited = linux_receive_buffer(channel.descriptor) / 2
    linux_limit_receive_buffer(channel.descriptor, window)
  }

  /// The kernel finds out again, from where it was: by itself it would not come back to it.
  func unlimit() {
    guard let unlimited else { return }
    linux_limit_receive_buffer(channel.descriptor, unlimited)
    _ = linux_unlimit_receive_buffer(channel.descriptor)
    self.unlimited = nil
  }

  // MARK: - Between streams

  /// Takes it back when its stream has ended in both directions.
  func release(isUnread: Bool) {
    guard case .stream = use else { return }
    self.isUnread = isUnread
    unlimit()
    let limit = loop.shared.configuration.keyUsage
    guard let pool else {
      use = .awaiting
      return loop.isRetired ? close() : dispatch()
    }
    use = .idle
    if loop.isRetired || isSpent || limit.isNear(channel.recordsSent) { return close() }
    pool.put(self)
    // Its end may have been told while the stream still ran.
    if case .idle = use, isReadable { checkIdle() }
  }

  // MARK: - The end

  /// Closes it. A stream on it has to be told first.
  func close() {
    if case .closed = use { return }
    if case .opening(let open) = use { open.tunnel = nil }
    use = .closed
    dial?.reset()
    dial = nil
    loop.cancel(deadline)
    channel.close()
    loop.forget(self, living: channel.descriptor)
    loop.drop(self)
    shutdown(channel.descriptor, Int32(SHUT_RDWR))
    leftBy?.hasBeenRead(self)
  }

  // MARK: - In another loop or process

  /// Whether it carries nothing, and another process could go on with it just now.
  var isAtRest: Bool {
    switch use {
    case .idle, .awaiting:
      !hasHungUp && deadline == nil && channel.isFlushed && !reader.isInside
    default: false
    }
  }

  /// Others go on with it, and have a descriptor of it.
  func letGo() {
    if case .idle = use { pool?.remove(self) }
    use = .closed
    loop.cancel(deadline)
    loop.forget(self, living: channel.descriptor)
    loop.drop(self)
  }

  /// Says what it is, for another process; see `TunnelChannel.describe`.
  func describe(keys: HandOverKeys) -> Istbpf_Handover_V1_Tunnel {
    .with { message in
      channel.describe(in: &message, keys: keys)
      if let pool { message.address = "\(pool.peer.address)" }
      if let beginning = reader.beginning {
        (message.header, message.headerCount) = (beginning.header, UInt32(beginning.count))
      }
      (message.spent, message.unread, message.unlimited) = (isSpent, isUnread, unlimited ?? 0)
    }
  }

  /// Goes on with what another process says so of, having read `reader` of a frame.
  func goOn(with message: Istbpf_Handover_V1_Tunnel, _ reader: FrameReader) {
    self.reader = reader
    (isSpent, isUnread) = (message.spent, message.unread)
    unlimited = message.unlimited > 0 ? message.unlimited : nil
  }

  // MARK: - Broken off

  /// Ends it and whatever is on it.
  func kill(_ reason: TunnelError) {
    switch use {
    case .stream(let stream): stream.fail(reason)
    case .opening(let open):
      close()
      open.fail(reason, in: loop)
    default:
      pool?.remove(self)
      close()
    }
  }

  /// Says what has been appended, then nothing more, and closes when the peer has.
  func closeAfterFlush() {
    use = .closing
    loop.cancel(deadline)
    deadline = loop.after(2_000_000_000) { [weak self] in self?.close() }
    dispatch()
  }

  /// Nothing is sent or read here any more, and the peer closes it when it has read what was sent:
  /// closed now, it could be given up by the kernel before that.
  func leave(_ stream: Stream?) {
    leftBy = stream
    use = .closing
    channel.close()
    loop.later { _ in self.dispatch() }
  }

  private func drain() {
    guard channel.flush() == .done else { return }
    shutdown(channel.descriptor, Int32(SHUT_WR))
    // Not more than a batch at a time; what a peer sends without end, the deadline ends.
    for _ in 0..<16 {
      let count = recv(channel.descriptor, loop.scratch, TunnelChannel.batch, 0)
      if count == 0 || count < 0 && Errno.last != .resourceTemporarilyUnavailable { return close() }
      if count < 0 { return }
    }
  }

  /// The peer broke the protocol.
  func violated(_ cause: String) {
    loop.shared.observe(.protocolViolation(channel.peer, cause))
    close()
  }
}

extension TunnelConnection: UnreadSocket {}
