import LinuxSystem

/// The sockets of connections that have ended, until a loop has time to close them.
///
/// To close a socket whose peer is on this runner is to take down both ends, 20 us: time in which the
/// next connection would wait.
struct ClosingSockets {
  /// What a loop waits for events, in nanoseconds, before it takes the time.
  static let pause: UInt64 = 20_000
  /// How many may wait, and how long, in nanoseconds.
  private static let (most, longest): (Int, UInt64) = (64, 1_000_000)

  private var sockets: [Box] = []
  private var dueAt = UInt64.max

  /// Since arrays hold nothing that cannot be copied.
  private final class Box {
    let socket: OwnedDescriptor
    init(_ socket: consuming OwnedDescriptor) { self.socket = socket }
  }

  var isEmpty: Bool { sockets.isEmpty }

  mutating func add(_ socket: consuming OwnedDescriptor, now: UInt64) {
    if isEmpty { dueAt = now &+ Self.longest }
    sockets.append(Box(socket))
  }

  /// Whether they are to be closed although there is other work.
  func isDue(now: UInt64) -> Bool { dueAt <= now || sockets.count >= Self.most }

  mutating func closeAll() {
    guard !isEmpty else { return }
    sockets.removeAll(keepingCapacity: true)
    dueAt = .max
  }
}
