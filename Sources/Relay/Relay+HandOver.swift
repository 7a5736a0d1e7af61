import CLinux
import Dispatch
import Glibc
import HandOver
import LinuxSystem
import Synchronization
import SystemPackage

/// Passing on what a relay carries to the process that takes its place, while it moves.
extension Relay {
  /// How long the other process may take to begin, in seconds: it may have much to learn before.
  private static let beginning = 60
  /// How long it may take to answer, in seconds.
  private static let patience = 5
  /// How soon is looked again for what has come to rest, in microseconds: at first, and after a while.
  private static let (shortPause, longPause): (UInt32, UInt32) = (5000, 80_000)

  /// Passes everything on to the process at the other end of `channel`: what is not at rest, as a connection that is just
  /// being made, when it is. Blocks until `goesOn`, asked again and again with how much is left, says no. Throws
  /// `SystemError` where the other process has ended, and `OtherHandOverVersion`; what it has not taken over goes on here.
  @discardableResult
  package func handOver(
    on channel: HandOverChannel, as hello: Istbpf_Handover_V1_Hello,
    while goesOn: (_ left: Int) -> Bool
  ) throws -> HandOverSummary {
    defer { channel.end() }
    shared.succession.underWay.wrappingAdd(1, ordering: .relaxed)
    defer { shared.succession.underWay.wrappingSubtract(1, ordering: .relaxed) }
    channel.limit(seconds: Self.beginning)
    try channel.send(hello)
    guard let answer = try channel.receive(Istbpf_Handover_V1_Hello.self)?.message else {
      throw SystemError(.connectionReset, "pass on", "connections: the other relay has ended")
    }
    guard answer.version == hello.version else {
      throw OtherHandOverVersion(own: hello, other: answer)
    }
    channel.limit(seconds: Self.patience)
    var summary = HandOverSummary()
    var pause = Self.shortPause
    // A connection may have come to a loop after that was asked: so twice.
    var isOver = false
    while true {
      var (passed, left) = (0, 0)
      for loop in loops {
        let result = try passOn(loop, on: channel)
        (passed, left) = (passed + result.passed, left + result.left)
        summary.add(result)
      }
      let wasOver = isOver
      isOver = passed == 0 && !goesOn(left)
      if isOver, wasOver { break }
      guard !channel.isHungUp else {
        throw SystemError(.connectionReset, "pass on", "connections: the other relay has ended")
      }
      pause = passed > 0 ? Self.shortPause : min(2 * pause, Self.longPause)
      if passed == 0 { usleep(pause) }
    }
    return summary
  }

  /// Says that what another relay carries may be passed on to this one, from now on until `duration` is over: a stream
  /// that is not known here yet is asked to be patient meanwhile.
  package func expectTakeOver(within duration: Duration) {
    shared.succession.expected.withLock { $0 = .now + duration }
  }

  /// Lets other runners ask for nothing more on the tunnels that there are: each ends when it carries nothing. For a relay
  /// that is not told any more what there is. They can again where that is false.
  package func retire(_ isRetired: Bool) {
    for loop in loops { loop.post { $0.retire(isRetired) } }
  }

  /// On the loop's thread; this one waits for it.
  private func passOn(_ loop: EventLoop, on channel: HandOverChannel) throws -> PassedBatch {
    let outcome = PassedOn()
    loop.post { loop in outcome.set(Result { try loop.passOn(on: channel) }) }
    return try outcome.wait()
  }

  /// Goes on with what the process at the other end of `channel` passes on, until that ends. Blocks until then; `took` is
  /// told how many were taken over. `began` and `ended` are called for each connection to outside, with the number of its
  /// instance. Throws `SystemError` where the other process breaks off, or says what cannot be, and `OtherHandOverVersion`.
  package func takeOver(
    on channel: HandOverChannel, as hello: Istbpf_Handover_V1_Hello,
    began: (UInt64) -> Void, ended: @escaping @Sendable (UInt64) -> Void, took: (Int) -> Void
  ) throws {
    defer { channel.end() }
    shared.succession.underWay.wrappingAdd(1, ordering: .relaxed)
    defer { shared.succession.underWay.wrappingSubtract(1, ordering: .relaxed) }
    channel.limit(seconds: Self.beginning)
    guard let other = try channel.receive(Istbpf_Handover_V1_Hello.self)?.message else { return }
    try channel.send(hello)
    guard other.version == hello.version else {
      throw OtherHandOverVersion(own: hello, other: other)
    }
    // What is not at rest may take its time.
    channel.limit(seconds: 0)
    var turn = 0
    while let batch = try channel.receive(Istbpf_Handover_V1_Batch.self) {
      let items = try batch.message.items.map { item in
        guard let inherited = HandOverItem(item, batch.descriptors, batch.keys) else {
          throw SystemError(.badMessage, "go on with", "what is passed on")
        }
        return inherited
      }
      guard !shared.succession.isEnding.load(ordering: .relaxed) else { return }
      // Where this fails, the other process goes on with all of it.
      try channel.send(Istbpf_Handover_V1_Answer())
      for item in items {
        turn &+= 1
        goOn(with: item, in: loop(for: item, turn: turn), began, ended)
      }
      took(items.count)
    }
  }

  /// A stream's is said by its token; an idle tunnel is best where one to its peer is kept ready.
  private func loop(for item: HandOverItem, turn: Int) -> EventLoop {
    if let index = item.loop(of: loops.count) { return loops[index] }
    if case .tunnel(let tunnel) = item, let address = tunnel.address {
      let peer = TunnelPeer(runner: tunnel.channel.peer.runner, address: address)
      let home = homeLoop(of: peer)
      if !shared.idleTunnels.loops(with: peer).contains(home.index) { return home }
    }
    return loops[turn % loops.count]
  }

  private func goOn(
    with item: HandOverItem, in loop: EventLoop, _ began: (UInt64) -> Void,
    _ ended: @escaping @Sendable (UInt64) -> Void
  ) {
    if case .pair(let pair) = item, pair.deployment != nil { began(pair.message.holder) }
    let handoff = LoopHandoff(value: item)
    loop.post { $0.goOn(with: handoff.value, ended: ended) }
  }
}

/// The other process's connections are described in another version (`handOverVersion`) than this one's: nothing passes from
/// one to the other.
package struct OtherHandOverVersion: Error, CustomStringConvertible {
  package let own, other: Istbpf_Handover_V1_Hello

  package var description: String {
    """
    the other istbpf-relay, \(other.program), has version \(other.version) of what is passed on, and this one, \(own.program), \
    version \(own.version)
    """
  }
}

/// What a relay has passed on.
package struct HandOverSummary: Sendable {
  /// How many connections, and tunnels that carried none.
  package private(set) var count = 0
  /// How long each stood still until it was taken over, in nanoseconds, in no order.
  private var times: [UInt64] = []

  mutating func add(_ batch: PassedBatch) {
    count += batch.passed
    times += [UInt64](repeating: batch.time, count: batch.passed)
  }

  /// How long they stood still in the median, and at the most, in milliseconds.
  package var pauses: (median: Double, most: Double) {
    let sorted = times.sorted()
    guard let most = sorted.last else { return (0, 0) }
    return (Double(sorted[sorted.count / 2]) / 1e6, Double(most) / 1e6)
  }
}

/// What a loop's thread has passed on, for the one that waits for it.
private final class PassedOn: Sendable {
  private let result = Mutex<Result<PassedBatch, any Error>?>(nil)
  private let done = DispatchSemaphore(value: 0)

  func set(_ result: Result<PassedBatch, any Error>) {
    self.result.withLock { $0 = result }
    done.signal()
  }

  /// Throws what the loop's thread threw, or `SystemError` where that does not come to it.
  func wait() throws -> PassedBatch {
    guard done.wait(timeout: .now() + 20) == .success, let result = result.withLock({ $0 }) else {
      throw SystemError(.timedOut, "pass on", "connections")
    }
    return try result.get()
  }
}
