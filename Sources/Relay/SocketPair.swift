import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// A connection with both ends on this runner: two sockets, each of which is sent what the other
/// receives. The bytes stay in the kernel, in a pipe for each direction while some wait.
final class SocketPair: SocketOwner {
  private unowned let loop: EventLoop
  private let near: LocalSocket
  private let far: LocalSocket
  private var outbound = Direction()
  private var inbound = Direction()
  private var isOver = false
  /// Whether it goes on by itself in the loop's next turn.
  private var goesOn = false

  /// One way through the pair.
  private struct Direction {
    /// What has been read and not been written.
    var pipe: Pipe?
    /// Whether the reading side has had its end.
    var hasEnd = false
    /// Whether the writing side has been told so.
    var isDone = false
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
      SocketPair(near, far, in: loop).run()
    }
  }

  private init(_ near: LocalSocket, _ far: LocalSocket, in loop: EventLoop) {
    (self.near, self.far, self.loop) = (near, far, loop)
    (near.owner, far.owner) = (self, self)
    for socket in [near, far] {
      socket.limitUnread(BufferLimits.most)
      socket.limitUnsent(BufferLimits.most)
    }
    loop.pairs[ObjectIdentifier(self)] = self
  }

  func run() {
    guard !isOver else { return }
    guard let more = pump(near, far, &outbound), let moreBack = pump(far, near, &inbound)
    else { return close() }
    if outbound.isDone, inbound.isDone { return close() }
    guard more || moreBack, !goesOn else { return }
    goesOn = true
    loop.later { [weak self] _ in
      self?.goesOn = false
      self?.run()
    }
  }

  /// Resets both sockets where the connection has not ended both ways.
  func close() {
    guard !isOver else { return }
    isOver = true
    for pipe in [outbound.pipe.take(), inbound.pipe.take()] {
      if let pipe { loop.pipes.put(pipe) }
    }
    let isWhole = outbound.isDone && inbound.isDone
    for socket in [near, far] { if isWhole { socket.finish() } else { socket.reset() } }
    loop.pairs[ObjectIdentifier(self)] = nil
  }

  /// Moves bytes one way; whether there may be more to move at once, nil where the reading side was broken off and
  /// all that it had sent before has been moved.
  private func pump(_ from: LocalSocket, _ to: LocalSocket, _ way: inout Direction) -> Bool? {
    for _ in 0..<Self.turns {
      guard to.failure == nil else {
        // The other way goes on to where the reset was.
        if let pipe = way.pipe.take() { loop.pipes.put(pipe) }
        return from.failure == nil ? false : nil
      }
      if let pipe = way.pipe {
        guard to.isWritable else { return false }
        let moved = linux_splice(pipe.output, to.descriptor, UInt64(pipe.count))
        if moved <= 0 {
          let error = moved < 0 ? Errno.last : .brokenPipe
          if !isTemporary(error, &to.isWritable) { to.fail(error.rawValue) }
          continue
        }
        pipe.count -= Int(moved)
        if pipe.count == 0 {
          way.pipe = nil
          loop.pipes.put(pipe)
        }
        continue
      }
      if way.hasEnd {
        if !way.isDone { shutdown(to.descriptor, Int32(SHUT_WR)) }
        way.isDone = true
        return false
      }
      guard from.isReadable, let pipe = loop.pipes.take() else { return false }
      var count = linux_splice(from.descriptor, pipe.input, UInt64(Pipe.capacity))
      let error = Errno.last
      // splice(2) stops at an urgent byte, which goes on as any other.
      if count <= 0, linux_is_at_urgent(from.descriptor) != 0 {
        if count < 0, error != .resourceTemporarilyUnavailable { from.fail(error.rawValue) }
        var byte: UInt8 = 0
        if linux_receive(from.descriptor, &byte, 1, 0) == 1 {
          count = Int64(write(pipe.input, &byte, 1))
        }
      }
      if count > 0 {
        pipe.count = Int(count)
        way.pipe = pipe
        continue
      }
      loop.pipes.put(pipe)
      if count == 0 {
        guard from.failure == nil else { return nil }
        way.hasEnd = true
      } else if !isTemporary(error, &from.isReadable) {
        return nil
      }
    }
    return true
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
