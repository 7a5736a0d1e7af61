/// How many bytes one direction of a stream may have waiting in the kernel, and how that follows what it moves.
struct StreamWindow {
  /// The window, in bytes.
  private(set) var size = BufferLimits.scarce
  /// What is taken of the budget for it, in bytes.
  var cost = 0
  /// What the kernel has made of the buffer by itself, beyond the window, in bytes of the budget.
  var grown = 0
  private var moved = 0
  private var since: UInt64 = 0
  /// The bytes that were moved since `hasRested` was asked last.
  private var movedLately = 0
  /// The bytes that were moved since it has its size.
  private var movedSinceSet = 0

  /// The time within which twice the window has to move for it to grow, in nanoseconds.
  private static let time: UInt64 = 100_000_000

  /// Takes note of `count` bytes that went through at `now`, of a sender that `unread` is for; whether it ought to
  /// grow. A program that does not read stops them before, and one that is slow does not need more. Where the sender
  /// may send more than the window has, since it was larger, a quarter of it is enough: that is what goes through
  /// before the rest stays in the kernel.
  mutating func note(_ count: Int, now: UInt64, unread: UnreadLimit?) -> Bool {
    movedLately += count
    movedSinceSet += count
    guard size < BufferLimits.most else { return false }
    if unread?.isBeyond == true, movedSinceSet >= Int(size) / 4 { return true }
    if now - since > Self.time { (moved, since) = (0, now) }
    moved += count
    return moved >= 2 * Int(size)
  }

  /// What it grows to: twice as much, or what the sender that `unread` is for was promised already.
  func larger(_ unread: UnreadLimit?) -> Int32 {
    min(max(size * 2, unread?.isBeyond == true ? unread?.promised ?? 0 : 0), BufferLimits.most)
  }

  /// It is `size` now, for `cost` of the budget.
  mutating func set(_ size: Int32, cost: Int, now: UInt64) {
    (self.size, self.cost, moved, since, movedSinceSet) = (size, cost, 0, now, 0)
  }

  /// It was to grow, and there was nothing left of the budget.
  mutating func wait(now: UInt64) { (moved, since) = (0, now) }

  /// Whether less than a quarter of it went through since this was asked last.
  mutating func hasRested() -> Bool {
    defer { movedLately = 0 }
    return movedLately < Int(size) / 4
  }
}
