import Model

/// How many bytes one direction of a stream may have waiting in the kernel, and how that follows what it moves.
struct StreamWindow {
  /// The window, in bytes.
  private(set) var size = BufferLimits.scarce
  /// What is taken of the budget for it, in bytes.
  var cost = 0
  /// What is lent to it of the budget, in bytes, for what the sender was promised while it was larger.
  private(set) var lent = 0
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

  /// Takes note of `count` bytes that went through at `now`; whether it ought to grow. A program that does not read
  /// stops them before, and one that is slow does not need more. Where the sender may send more than the window has,
  /// since it was larger, a quarter of it is enough: it uses what is lent.
  mutating func note(_ count: Int, now: UInt64) -> Bool {
    movedLately += count
    movedSinceSet += count
    guard size < BufferLimits.most else { return false }
    if lent > 0, movedSinceSet >= Int(size) / 4 { return true }
    if now - since > Self.time { (moved, since) = (0, now) }
    moved += count
    return moved >= 2 * Int(size)
  }

  /// What it grows to: twice as much, or what the sender that `socket` reads from was promised already.
  func larger(_ socket: (any UnreadSocket)?) -> Int32 {
    let promised = lent > 0 ? socket?.unread.window ?? 0 : 0
    return min(max(size * 2, promised), BufferLimits.most)
  }

  /// Has `socket`, which the direction is read from, keep to its size. Where the sender was promised more before, that is
  /// lent to it, and where nothing is left to be lent, taken from it.
  mutating func apply(
    to socket: any UnreadSocket, _ budget: BufferBudget, for deployment: DeploymentName
  ) {
    socket.raiseUnread(to: size)
    let window = socket.unread.window
    let beyond = BufferLimits.cost(window) - BufferLimits.cost(socket.unread.least(size))
    if beyond > lent, !budget.lend(beyond - lent, to: deployment) {
      socket.cutUnread(to: size)
      return giveLentBack(budget, of: deployment)
    }
    if beyond < lent { budget.giveLentBack(lent - max(0, beyond), of: deployment) }
    lent = max(0, beyond)
  }

  /// The sender may send no more than the window has.
  mutating func giveLentBack(_ budget: BufferBudget, of deployment: DeploymentName) {
    budget.giveLentBack(lent, of: deployment)
    lent = 0
  }

  /// It is `size` now, for `cost` of the budget.
  mutating func set(_ size: Int32, cost: Int, now: UInt64) {
    (self.size, self.cost, moved, since, movedSinceSet) = (size, cost, 0, now, 0)
  }

  /// It was to grow, and there was nothing left of the budget.
  mutating func wait(now: UInt64) { (moved, since, movedSinceSet) = (0, now, 0) }

  /// Whether less than a quarter of it went through since this was asked last.
  mutating func hasRested() -> Bool {
    defer { movedLately = 0 }
    return movedLately < Int(size) / 4
  }
}
