import CLinux
import Glibc
import LinuxSystem
import Model
import SystemPackage

/// A connection with both ends on this runner, or with one of them outside: two sockets, each of which is sent what
/// the other receives. The bytes stay in the kernel, in a pipe for each direction while some wait.
final class SocketPair: SocketOwner {
  private unowned let loop: EventLoop
  let near: LocalSocket
  let far: LocalSocket
  var outbound = Direction()
  var inbound = Direction()
  private(set) var isOver = false
  /// Whether it goes on by itself in the loop's next turn.
  private var goesOn = false
  /// The socket that is reset when it has had what came before, since the other one was.
  private var resetting: LocalSocket?
  private let beganAt: UInt64
  /// How much the kernel keeps of both directions, and who pays; nil where that is fixed.
  var windows: PairWindows?
  /// Whether urgent bytes stay urgent: both ends are TCP.
  let carriesUrgent: Bool
  /// Of one that leads outside: for whom, and what is done when it has ended.
  let outside: Outside?
  /// What a pair that leads outside is for.
  struct Outside {
    let deployment: DeploymentName
    /// The instance, as a number that another process understands as well.
    let holder: UInt64
    /// Called once, when both sockets are closed, or another process goes on with them.
    let ended: @Sendable () -> Void
  }

  /// One way through the pair.
  struct Direction {
    /// What has been read and not been written.
    var pipe: Pipe?
    /// An urgent byte that follows what is in the pipe.
    var urgent: UInt8?
    /// Whether the reading side has had its end.
    var hasEnd = false
    /// Whether the writing side has been told so.
    var isDone = false

    var isEmpty: Bool { pipe == nil && urgent == nil }
  }

  /// Batches that a pair moves before others have their turn.
  private static let turns = 16

  /// Connects as `instruction` says and makes a pair of that socket and `local`; see `Relay.pair`.
  static func make(
    _ local: DescriptorHandoff, with instruction: DialInstruction, timeout: Duration,
    in loop: EventLoop, failed: @escaping @Sendable (consuming OwnedDescriptor, Int32) -> Void
  ) {
    guard loop.stopsAt == nil, let socket = instruction.takeSocket() else { return local.reset() }
    let far = LocalSocket(socket, in: loop)
    var deadline: Deadline?
    func give(_ errno: Int32) {
      far.reset()
      if let socket = local.take() { failed(socket, errno) }
    }
    deadline = loop.after(timeout.nanoseconds) { give(ETIMEDOUT) }
    far.connect(to: instruction.destination, port: instruction.port) { errno in
      loop.cancel(deadline)
      guard errno == 0 else { return give(errno) }
      guard let socket = local.take() else { return far.reset() }
      let near = LocalSocket(socket, in: loop)
      guard near.watch() else { return far.reset() }
      SocketPair(near, far, in: loop).begin()
    }
  }

  /// Makes a pair of a program's socket and of one that is connected to outside; see `Relay.join`.
  static func join(
    _ local: DescriptorHandoff, to far: LocalSocket, for outside: Outside, in loop: EventLoop
  ) {
    guard let socket = local.take() else {
      far.reset()
      return outside.ended()
    }
    let near = LocalSocket(socket, in: loop)
    guard near.watch() else {
      near.reset()
      far.reset()
      return outside.ended()
    }
    // A program that has closed its socket is gone after a while, whatever the other end does; and so is a host
    // outside that nobody hears of any more.
    for socket in [near, far] {
      linux_tcp_keep_alive(
        socket.descriptor, keepAlive.idle, keepAlive.interval, keepAlive.probes)
    }
    SocketPair(near, far, in: loop, carriesUrgent: true, outside: outside).begin()
  }

  /// Begins to move bytes between its sockets, which are watched.
  func begin() {
    if let outside {
      windows = PairWindows(near, far, of: outside.deployment, in: loop)
    } else {
      for socket in [near, far] {
        socket.raiseUnread(to: BufferLimits.most)
        socket.limitUnsent(BufferLimits.most)
      }
    }
    run()
  }

  /// Of connections to outside: seconds without a byte until the other end is asked for a sign of life, between
  /// further ones, and how many of these go unanswered before it is given up.
  private static let keepAlive = (idle: Int32(60), interval: Int32(15), probes: Int32(8))

  init(
    _ near: LocalSocket, _ far: LocalSocket, in loop: EventLoop, carriesUrgent: Bool = false,
    outside: Outside? = nil
  ) {
    (self.near, self.far, self.loop) = (near, far, loop)
    (self.carriesUrgent, self.outside) = (carriesUrgent, outside)
    beganAt = loop.now
    (near.owner, far.owner) = (self, self)
    loop.pairs[ObjectIdentifier(self)] = self
    loop.counters.pairsLive.add(1)
  }

  func run() {
    guard !isOver, resetting == nil else { return }
    guard let more = pump(near, far, &outbound) else { return breakOff(near, far) }
    guard let moreBack = pump(far, near, &inbound) else { return breakOff(far, near) }
    if outbound.isDone, inbound.isDone { return close() }
    // Its end came before the reset: the socket has closed, and what was sent to it since is lost.
    if near.failure != nil, outbound.isDone { return breakOff(near, far) }
    if far.failure != nil, inbound.isDone { return breakOff(far, near) }
    guard more || moreBack, !goesOn else { return }
    goesOn = true
    loop.later { [weak self] _ in
      self?.goesOn = false
      self?.run()
    }
  }

  /// Whether nothing of a direction waits, neither here nor in the kernel.
  func isEmpty(outbound isOutbound: Bool) -> Bool {
    let (from, to, way) = isOutbound ? (near, far, outbound) : (far, near, inbound)
    return !from.isReadable && way.isEmpty && linux_unacknowledged(to.descriptor) == 0
  }

  /// Resets both sockets where the connection has not ended both ways.
  func close() {
    guard !isOver else { return }
    let isWhole = outbound.isDone && inbound.isDone
    for socket in [near, far] { if isWhole { socket.finish() } else { socket.reset() } }
    leave()
  }

  /// It is over for this loop.
  private func leave() {
    isOver = true
    for pipe in [outbound.pipe.take(), inbound.pipe.take()] {
      if let pipe { loop.pipes.put(pipe) }
    }
    windows?.end()
    loop.widened[ObjectIdentifier(self)] = nil
    loop.pairs[ObjectIdentifier(self)] = nil
    loop.counters.pairsLive.add(-1)
    outside?.ended()
  }

  // MARK: - In another process

  /// Whether another process could go on with it just now: nothing has broken it off.
  var isAtRest: Bool {
    !isOver && resetting == nil && near.failure == nil && far.failure == nil
  }

  /// Another process goes on with it, and has its descriptors.
  func letGo() {
    near.letGo()
    far.letGo()
    leave()
  }

  // MARK: - Broken off

  /// `from` was broken off, and all that it had sent before is with the kernel: `to` is reset when its other end has
  /// had that.
  private func breakOff(_ from: LocalSocket, _ to: LocalSocket) {
    from.reset()
    resetting = to
    resetWhenDelivered(to, undelivered: .max, since: loop.now)
  }

  private func resetWhenDelivered(_ to: LocalSocket, undelivered: Int, since: UInt64) {
    guard !isOver else { return }
    let count = to.failure == nil ? max(0, Int(linux_unacknowledged(to.descriptor))) : 0
    let since = count == undelivered ? since : loop.now
    let isSettled = to !== near || loop.now - beganAt >= Self.settles
    guard count > 0 && loop.now - since < Self.stalled || !isSettled else { return close() }
    _ = loop.after(Self.stalled / 20) { [weak self] in
      self?.resetWhenDelivered(to, undelivered: count, since: since)
    }
  }

  /// How long the other end may acknowledge nothing of what came before a reset, in nanoseconds: one that does not
  /// read has its window full, and TCP would lose the rest as well.
  private static let stalled: UInt64 = 100_000_000
  /// How old a program's connection must be to be reset, in nanoseconds: the connect(2) of one that is not
  /// scheduled at once would fail with the reset of a connection that was made.
  private static let settles: UInt64 = 20_000_000

  // MARK: - Moving

  /// Moves bytes one way; whether there may be more to move at once, nil where the reading side was broken off and
  /// all that it had sent before has been moved.
  private func pump(_ from: LocalSocket, _ to: LocalSocket, _ way: inout Direction) -> Bool? {
    for _ in 0..<Self.turns {
      guard to.failure == nil else {
        // The other way goes on to where the reset was.
        if let pipe = way.pipe.take() { loop.pipes.put(pipe) }
        way.urgent = nil
        return from.failure == nil ? false : nil
      }
      guard way.isEmpty else {
        guard to.isWritable else { return false }
        write(&way, to: to)
        continue
      }
      if way.hasEnd {
        if !way.isDone { to.shutDownSending() }
        way.isDone = true
        return false
      }
      guard from.isReadable else { return false }
      guard let isThere = read(&way, from: from) else { return nil }
      guard isThere else { return false }
    }
    return true
  }

  /// Gives the socket what waits for it.
  private func write(_ way: inout Direction, to: LocalSocket) {
    if let pipe = way.pipe {
      let moved = linux_splice(pipe.output, to.descriptor, UInt64(pipe.count))
      if moved <= 0 {
        let error = moved < 0 ? Errno.last : .brokenPipe
        if !isTemporary(error, &to.isWritable) { to.spliceFailed(error.rawValue) }
        return
      }
      pipe.count -= Int(moved)
      if windows?.note(Int(moved), outbound: to === far, of: self) == true {
        loop.widened[ObjectIdentifier(self)] = self
        loop.watchWindows()
      }
      if pipe.count == 0 {
        way.pipe = nil
        loop.pipes.put(pipe)
      }
    } else if let byte = way.urgent {
      if linux_send_urgent(to.descriptor, byte) == 1 {
        way.urgent = nil
      } else {
        let error = Errno.last
        if !isTemporary(error, &to.isWritable) { to.fail(error.rawValue) }
      }
    }
  }

  /// Takes what the socket has, or its end; false where there is nothing, nil where it was broken off.
  private func read(_ way: inout Direction, from: LocalSocket) -> Bool? {
    guard let pipe = loop.pipes.take() else { return false }
    var count = linux_splice(from.descriptor, pipe.input, UInt64(Pipe.capacity))
    let error = Errno.last
    // splice(2) stops at an urgent byte.
    if count <= 0, linux_is_at_urgent(from.descriptor) != 0 {
      if count < 0, error != .resourceTemporarilyUnavailable { from.fail(error.rawValue) }
      var byte: UInt8 = 0
      if linux_receive(from.descriptor, &byte, 1, 0) == 1 {
        if carriesUrgent {
          loop.pipes.put(pipe)
          way.urgent = byte
          return true
        }
        count = Int64(Glibc.write(pipe.input, &byte, 1))
      }
    }
    if count > 0 {
      pipe.count = Int(count)
      way.pipe = pipe
      return true
    }
    loop.pipes.put(pipe)
    if count == 0 {
      from.checkEnd()
      // EPIPE is a FIN and a reset behind it.
      guard from.failure == nil || from.failure == EPIPE else { return nil }
      way.hasEnd = true
      return true
    }
    return isTemporary(error, &from.isReadable) ? true : nil
  }

  /// Whether a call is to be made again: at once, or when `isReady` is true again.
  private func isTemporary(_ error: Errno, _ isReady: inout Bool) -> Bool {
    switch error {
    case .interrupted: return true
    case .resourceTemporarilyUnavailable:
      isReady = false
      return true
    default: return false
    }
  }
}

extension SocketPair: WindowOwner {
  func reviewWindows() -> Bool { windows?.review(of: self) ?? false }
}
