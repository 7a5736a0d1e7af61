import CLinux
import Model

/// What is looked at each second, since it has more of the kernel's memory than it began with.
protocol WindowOwner: AnyObject {
  /// Gives back what it does not need any more; whether there is still some.
  func reviewWindows() -> Bool
}

/// The windows of a connection to outside, as those of a stream (`Stream+Windows.swift`).
struct PairWindows {
  private let near: LocalSocket
  private let far: LocalSocket
  private let deployment: DeploymentName
  private unowned let loop: EventLoop
  private var outbound = StreamWindow()
  private var inbound = StreamWindow()
  /// Whether the host outside is far away: the kernel finds out then how much is under way from it.
  private let isFar: Bool
  private var isLimited = false

  init(
    _ near: LocalSocket, _ far: LocalSocket, of deployment: DeploymentName, in loop: EventLoop
  ) {
    (self.near, self.far, self.deployment, self.loop) = (near, far, deployment, loop)
    isFar = TunnelCongestion.isFar(far.descriptor)
    for isOutbound in [true, false] {
      let cost = BufferLimits.cost(BufferLimits.initial)
      let isTaken = loop.shared.budget.take(cost, for: deployment)
      set(
        isOutbound, isTaken ? BufferLimits.initial : BufferLimits.scarce, cost: isTaken ? cost : 0)
    }
  }

  /// `count` bytes went through; whether there is more of the kernel's memory than at the beginning since.
  mutating func note(_ count: Int, outbound isOutbound: Bool, of pair: SocketPair) -> Bool {
    let window = isOutbound ? outbound : inbound
    let from = isOutbound ? near : far
    var noted = window
    let grows = noted.note(count, now: loop.now)
    replace(isOutbound, noted)
    guard grows else { return false }
    let size = window.larger(from)
    let cost = BufferLimits.cost(size)
    guard loop.shared.budget.take(cost - window.cost, for: deployment) else {
      noted.wait(now: loop.now)
      replace(isOutbound, noted)
      return false
    }
    set(isOutbound, size, cost: cost)
    return true
  }

  /// See `WindowOwner`.
  mutating func review(of pair: SocketPair) -> Bool {
    countGrown()
    for isOutbound in [true, false] {
      var window = isOutbound ? outbound : inbound
      let (size, isResting) = (window.size, window.hasRested())
      replace(isOutbound, window)
      guard size > BufferLimits.initial, isResting, pair.isEmpty(outbound: isOutbound) else {
        continue
      }
      let cost = BufferLimits.cost(size / 2)
      loop.shared.budget.give(window.cost - cost, for: deployment)
      set(isOutbound, size / 2, cost: cost)
    }
    return outbound.size > BufferLimits.initial || inbound.size > BufferLimits.initial
      || inbound.grown > 0
  }

  /// Counts what the kernel has made of the buffer for what comes from far away; where the budget has no room for it,
  /// it grows no more.
  private mutating func countGrown() {
    guard isFar, !isLimited else { return }
    let size = Int(linux_receive_buffer(far.descriptor))
    let grown = max(0, size - 2 * Int(inbound.size))
    let more = grown - inbound.grown
    if more <= 0 {
      loop.shared.budget.give(-more, for: deployment)
    } else if !loop.shared.budget.take(more, for: deployment) {
      isLimited = true
      linux_limit_receive_buffer(far.descriptor, Int32(clamping: (size - more) / 2))
      return
    }
    inbound.grown = grown
  }

  /// Gives everything back.
  mutating func end() {
    loop.shared.budget.give(outbound.cost + inbound.cost + inbound.grown, for: deployment)
    outbound.giveLentBack(loop.shared.budget, of: deployment)
    inbound.giveLentBack(loop.shared.budget, of: deployment)
    (outbound, inbound) = (StreamWindow(), StreamWindow())
  }

  private mutating func set(_ isOutbound: Bool, _ size: Int32, cost: Int) {
    var window = isOutbound ? outbound : inbound
    window.set(size, cost: cost, now: loop.now)
    let (from, to) = isOutbound ? (near, far) : (far, near)
    if isOutbound || !isFar { window.apply(to: from, loop.shared.budget, for: deployment) }
    replace(isOutbound, window)
    to.limitUnsent(size)
  }

  private mutating func replace(_ isOutbound: Bool, _ window: StreamWindow) {
    if isOutbound { outbound = window } else { inbound = window }
  }
}
