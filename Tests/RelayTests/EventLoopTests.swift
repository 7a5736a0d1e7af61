import CLinux
import Glibc
import LinuxSystem
import Synchronization
import Testing
import TunnelTestSupport

@testable import Relay

@Suite("What a busy event loop does besides", .timeLimit(.minutes(10)))
struct EventLoopTests {
  @Test(
    "What need not tell is looked at while a loop is busy, and once more when it is not any more")
  func polled() throws {
    let configuration = configuration(kernel: true, loops: 1)
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    defer { laboratory.stop() }
    let state = Mutex((isPolled: false, looks: 0, turns: [Bool](), looksAfterTheEnd: 0))
    // Its descriptor never becomes readable.
    let never = OwnedDescriptor(owning: linux_eventfd())
    let watched = laboratory.a.watch(never.rawValue) { isPolled in
      state.withLock { state in
        state.isPolled = isPolled
        state.turns.append(isPolled)
        state.looksAfterTheEnd = 0
      }
    } _: {
      state.withLock { state in
        if state.isPolled { state.looks += 1 } else { state.looksAfterTheEnd += 1 }
      }
    }
    defer { withExtendedLifetime(watched) {} }
    let (listener, port) = try TestSocket.listener()
    let (program, service) = (try laboratory.connect(port), try listener.accept())
    for _ in 0..<1000 {
      try program.send([1])
      #expect(try service.receive(1) == [1])
      try service.send([2])
      #expect(try program.receive(1) == [2])
    }
    #expect(state.withLock { $0.looks } > 10)
    #expect(eventually { state.withLock { !$0.isPolled && $0.looksAfterTheEnd == 1 } })
    let turns = state.withLock { $0.turns }
    // It says so each time that it changes, and only then.
    #expect(zip(turns.dropFirst(2), turns.dropFirst()).allSatisfy { $0 != $1 })
  }

  /// As a bulk transfer does whose source is always ahead.
  @Test("Work that is posted again and again leaves events their turn")
  func posted() throws {
    let configuration = configuration(kernel: true, loops: 1)
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    defer { laboratory.stop() }
    let work = EndlessWork()
    defer { work.isOver.store(true, ordering: .relaxed) }
    laboratory.a.loops[0].post(work.doAgain)
    let (listener, port) = try TestSocket.listener()
    let (program, service) = (try laboratory.connect(port), try listener.accept())
    try program.send([1])
    #expect(try service.receive(1) == [1])
    let isOver = work.isOver.load(ordering: .relaxed)
    #expect(!isOver)
  }

  @Test(
    "Sockets that have time are closed at the latest after a millisecond, or when they are many")
  func closing() throws {
    var closing = ClosingSockets()
    #expect(closing.isEmpty && !closing.isDue(now: .max - 1))
    func add(now: UInt64) -> Int32 {
      let descriptor = linux_eventfd()
      closing.add(OwnedDescriptor(owning: descriptor), now: now)
      return descriptor
    }
    let first = add(now: 5_000_000)
    _ = add(now: 5_900_000)
    #expect(!closing.isDue(now: 5_999_999))
    #expect(closing.isDue(now: 6_000_000))
    #expect(fcntl(first, F_GETFD) >= 0)
    closing.closeAll()
    #expect(closing.isEmpty && !closing.isDue(now: 6_000_000))
    for _ in 1..<64 { _ = add(now: 7_000_000) }
    #expect(!closing.isDue(now: 7_000_000))
    _ = add(now: 7_000_000)
    #expect(closing.isDue(now: 7_000_000))
  }
}

/// Posts itself until it is told not to, or for 20 s.
private final class EndlessWork: Sendable {
  let isOver = Atomic(false)
  private let end = EventLoop.clock() + 20_000_000_000

  @Sendable func doAgain(_ loop: EventLoop) {
    if EventLoop.clock() > end { isOver.store(true, ordering: .relaxed) }
    if !isOver.load(ordering: .relaxed) { loop.post(doAgain) }
  }
}
