import CLinux
import Tunnel

/// The windows of a stream's two directions.
extension Stream {
  private var budget: BufferBudget { loop.shared.budget }

  /// Gives both directions what they begin with.
  func beginWindows() {
    for direction in [StreamDirection.sending, .receiving] {
      let size = BufferLimits.initial
      let cost = BufferLimits.cost(size)
      let isTaken = budget.take(cost, for: deployment)
      set(direction, isTaken ? size : BufferLimits.scarce, cost: isTaken ? cost : 0)
    }
  }

  /// `count` bytes of the direction were moved.
  func noteMoved(_ direction: StreamDirection, _ count: Int) {
    if windows[direction].note(count, now: loop.now) { grow(direction) }
  }

  /// The socket that the direction is read from.
  private func source(_ direction: StreamDirection) -> (any UnreadSocket)? {
    direction == .sending ? local : incoming
  }

  private func grow(_ direction: StreamDirection) {
    let size = windows[direction].larger(source(direction))
    let cost = BufferLimits.cost(size)
    guard budget.take(cost - windows[direction].cost, for: deployment) else {
      return windows[direction].wait(now: loop.now)
    }
    set(direction, size, cost: cost)
    loop.widened[ObjectIdentifier(self)] = self
    loop.watchWindows()
  }

  private func set(_ direction: StreamDirection, _ size: Int32, cost: Int) {
    windows[direction].set(size, cost: cost, now: loop.now)
    apply(direction)
  }

  /// Has the sockets of the direction keep to its window.
  func apply(_ direction: StreamDirection) {
    let size = windows[direction].size
    if let source = source(direction) {
      windows[direction].apply(to: source, budget, for: deployment)
    }
    if direction == .sending { out.limitUnsent(size) } else { local?.limitUnsent(size) }
  }

  /// Looks at what it has beyond its first windows; whether there is still some.
  func reviewWindows() -> Bool {
    countGrown()
    for direction in [StreamDirection.sending, .receiving] {
      let (size, isResting) = (windows[direction].size, windows[direction].hasRested())
      // What waits is there, whatever the window: it is given back when it has been read.
      guard size > BufferLimits.initial, isResting, isEmpty(direction) else { continue }
      let (less, cost) = (size / 2, BufferLimits.cost(size / 2))
      budget.give(windows[direction].cost - cost, for: deployment)
      set(direction, less, cost: cost)
    }
    return windows.sending.size > BufferLimits.initial
      || windows.receiving.size > BufferLimits.initial || windows.receiving.grown > 0
  }

  /// Counts what the kernel has made of the buffer of a tunnel from a far runner: it finds out what is under way in a
  /// round trip. Where the budget has no room for it, it grows no more.
  private func countGrown() {
    guard incoming.isFar, !incoming.isLimited else { return }
    let size = Int(linux_receive_buffer(incoming.channel.descriptor))
    let grown = max(0, size - 2 * Int(windows.receiving.size))
    let more = grown - windows.receiving.grown
    if more <= 0 {
      budget.give(-more, for: deployment)
    } else if !budget.take(more, for: deployment) {
      return incoming.limit(Int32(clamping: (size - more) / 2))
    }
    windows.receiving.grown = grown
  }

  private func isEmpty(_ direction: StreamDirection) -> Bool {
    switch direction {
    case .sending:
      local?.isReadable != true && out.channel.isFlushed && outPipe == nil
        && linux_unacknowledged(out.channel.descriptor) == 0
    case .receiving:
      !incoming.isReadable && held.isEmpty && inPipe == nil
        && local.map { linux_unacknowledged($0.descriptor) == 0 } ?? true
    }
  }

  /// Gives everything back.
  func endWindows() {
    budget.give(
      windows.sending.cost + windows.receiving.cost + windows.receiving.grown, for: deployment)
    for direction in [StreamDirection.sending, .receiving] {
      windows[direction].giveLentBack(budget, of: deployment)
    }
    windows = Windows()
    loop.widened[ObjectIdentifier(self)] = nil
  }

  struct Windows {
    var sending = StreamWindow()
    var receiving = StreamWindow()

    subscript(direction: StreamDirection) -> StreamWindow {
      get { direction == .sending ? sending : receiving }
      set { if direction == .sending { sending = newValue } else { receiving = newValue } }
    }
  }
}

extension Stream: WindowOwner {}

extension EventLoop {
  /// Looks each second at the streams and pairs that have more than they began with.
  func watchWindows() {
    guard windowWatch == nil else { return }
    windowWatch = after(1_000_000_000) { [weak self] in
      guard let self else { return }
      windowWatch = nil
      widened = widened.filter { $0.value.reviewWindows() }
      if !widened.isEmpty { watchWindows() }
    }
  }
}
