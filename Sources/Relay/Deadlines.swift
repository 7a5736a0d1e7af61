/// Something to be done at a time unless it is cancelled before.
final class Deadline {
  let time: UInt64
  let action: () -> Void

  init(time: UInt64, action: @escaping () -> Void) { (self.time, self.action) = (time, action) }
}

/// The deadlines of a loop: of handshakes, openings, idle tunnels, and streams that are broken off, so that they
/// are few and a sweep over all is cheap.
struct Deadlines {
  private var pending: [ObjectIdentifier: Deadline] = [:]
  /// No deadline is before this time; in nanoseconds of the monotonic clock.
  private(set) var earliest = UInt64.max

  mutating func add(_ deadline: Deadline) {
    pending[ObjectIdentifier(deadline)] = deadline
    earliest = min(earliest, deadline.time)
  }

  mutating func cancel(_ deadline: Deadline?) {
    guard let deadline else { return }
    pending[ObjectIdentifier(deadline)] = nil
    if pending.isEmpty { earliest = UInt64.max }
  }

  /// Takes out those whose time has come.
  mutating func takeDue(now: UInt64) -> [Deadline] {
    guard earliest <= now else { return [] }
    let due = pending.values.filter { $0.time <= now }
    for deadline in due { pending[ObjectIdentifier(deadline)] = nil }
    earliest = pending.values.reduce(UInt64.max) { min($0, $1.time) }
    return due
  }
}
