import CLinux
import Dispatch
import Glibc
import Synchronization
import Testing
import TunnelTestSupport

@testable import Relay

/// What the way between two programs takes in for one that does not read.
@Suite("Readers that do not read", .timeLimit(.minutes(10)))
struct StalledReaderTests {
  /// Writes until there has been no room for half a second; how much went in.
  private func fill(_ socket: TestSocket) -> Int {
    let flags = fcntl(socket.descriptor, F_GETFL)
    _ = fcntl(socket.descriptor, F_SETFL, flags | O_NONBLOCK)
    defer { _ = fcntl(socket.descriptor, F_SETFL, flags) }
    let block = [UInt8](repeating: 9, count: 65_536)
    var (sent, stalls) = (0, 0)
    while stalls < 25 {
      let count = send(socket.descriptor, block, block.count, Int32(MSG_NOSIGNAL))
      if count > 0 { (sent, stalls) = (sent + count, 0) } else { stalls += 1; usleep(20_000) }
    }
    return sent
  }

  private func limit(_ socket: TestSocket, _ option: Int32, _ bytes: Int32) {
    var bytes = bytes
    setsockopt(socket.descriptor, SOL_SOCKET, option, &bytes, 4)
  }

  @Test("With small buffers at both ends little more is taken in than they hold", arguments: pairs)
  func small(pair: (a: Bool, b: Bool)) throws {
    let laboratory = try RelayLaboratory(
      a: configuration(kernel: pair.a), b: configuration(kernel: pair.b))
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    limit(listener, SO_RCVBUF, 8192)
    let program = try laboratory.connect(port)
    limit(program, SO_SNDBUF, 8192)
    let service = try listener.accept()
    let sent = fill(program)
    #expect(sent < 800_000)
    program.finish()
    #expect(try service.receiveAll().count == sent)
  }

  /// Fast at first, as of a transfer, so that there is reason to keep much.
  private func stall(_ count: Int, budget: Int) throws -> Int {
    var configuration = configuration(kernel: true)
    configuration.bufferBudget = budget
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    limit(listener, SO_RCVBUF, 65_536)
    var (ends, total) = ([TestSocket](), 0)
    for _ in 0..<count {
      let program = try laboratory.connect(port)
      limit(program, SO_SNDBUF, 65_536)
      let service = try listener.accept()
      let moved = 4 << 20
      try concurrently(
        { try program.send([UInt8](repeating: 1, count: moved)) },
        {
          let count = try service.receiveExactly(moved).count
          #expect(count == moved)
        })
      total += fill(program)
      for relay in [laboratory.a, laboratory.b] { #expect(relay.shared.budget.taken <= budget) }
      ends += [program, service]
    }
    withExtendedLifetime(ends) {}
    return total
  }

  @Test("All streams together keep no more than the budget has, and one of a deployment half of it")
  func budget() throws {
    let (much, little) = (try stall(8, budget: 1 << 30), try stall(8, budget: 2 << 20))
    #expect(little < much * 2 / 3)
    // Beside the budget there are the programs' own buffers, the least of windows, which is two segments of 64 KiB here,
    // and batches on their way.
    #expect(little < 8 * 1_000_000)
  }

  /// What the windows of a relay's streams have the kernel keep at most, in bytes.
  private func kept(by relay: Relay) -> Int {
    let sum = Mutex(0)
    let done = DispatchGroup()
    for loop in relay.loops {
      done.enter()
      loop.post { loop in
        for stream in loop.streams.values {
          for window in [stream.local?.unread.window ?? 0, stream.incoming.unread.window] {
            sum.withLock { $0 += BufferLimits.cost(window) }
          }
        }
        done.leave()
      }
    }
    done.wait()
    return sum.withLock { $0 }
  }

  @Test("What is lent to streams that rest is bounded, and so is what comes when all go on at once")
  func lent() throws {
    var configuration = RelayConfiguration()
    configuration.bufferBudget = 16 << 20
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let budgets = [laboratory.a.shared.budget, laboratory.b.shared.budget]
    let (count, moved) = (10, 16 << 20)
    var ends = [(program: TestSocket, service: TestSocket)]()
    for _ in 0..<count {
      let program = try laboratory.connect(port)
      let service = try listener.accept()
      ends.append((program, service))
      try concurrently(
        { try program.send([UInt8](repeating: 1, count: moved)) },
        {
          let count = try service.receiveExactly(moved).count
          #expect(count == moved)
        })
    }
    let first = BufferLimits.cost(BufferLimits.initial) * 2 * count
    // Those for which there was nothing left as they began have taken nothing.
    #expect(eventually(20) { budgets.allSatisfy { $0.taken <= first } })
    for budget in budgets {
      #expect(budget.lent > 1 << 20)
      #expect(budget.lent <= configuration.bufferBudget / 4, "of which one deployment has half")
    }
    for (program, _) in ends { _ = fill(program) }
    for relay in [laboratory.a, laboratory.b] {
      let budget = relay.shared.budget
      // Each window may be two segments of 64 KiB instead.
      let most = budget.taken + budget.lent + 2 * count * BufferLimits.cost(BufferLimits.initial)
      #expect(kept(by: relay) <= most)
      #expect(budget.taken + budget.lent <= configuration.bufferBudget * 3 / 4)
    }
    for (program, service) in ends {
      program.resetOnClose()
      service.resetOnClose()
    }
    ends = []
    #expect(eventually(10) { budgets.allSatisfy { $0.taken == 0 && $0.lent == 0 } })
  }

  @Test("What a stream had of the budget comes back when it rests, and when it ends")
  func givenBack() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let budget = laboratory.b.shared.budget
    let first = BufferLimits.cost(BufferLimits.initial) * 2
    do {
      let program = try laboratory.connect(port)
      let service = try listener.accept()
      #expect(eventually { budget.taken == first })
      let moved = 64 << 20
      try concurrently(
        { try program.send([UInt8](repeating: 1, count: moved)) },
        {
          let count = try service.receiveExactly(moved).count
          #expect(count == moved)
        })
      #expect(budget.taken > first)
      #expect(eventually(10) { budget.taken == first })
      program.finish()
      service.finish()
      #expect(try program.receiveAll().isEmpty)
    }
    #expect(eventually { budget.taken == 0 && laboratory.a.shared.budget.taken == 0 })
  }
}
