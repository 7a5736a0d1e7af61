import CLinux
import Glibc
import Model
import Testing
import TunnelTestSupport

@testable import Relay

/// What the way between two programs takes in for one that does not read.
@Suite("Readers that do not read", .timeLimit(.minutes(3)))
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

  @Test("One that was fast and rested keeps no more than others when the budget is gone since")
  func goneSince() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    limit(listener, SO_RCVBUF, 65_536)
    let budgets = [laboratory.a.shared.budget, laboratory.b.shared.budget]
    let others = try DeploymentName("other")
    var kept = [Int]()
    for isGone in [false, true] {
      let program = try laboratory.connect(port)
      limit(program, SO_SNDBUF, 65_536)
      let service = try listener.accept()
      let moved = 32 << 20
      try concurrently(
        { try program.send([UInt8](repeating: 1, count: moved)) },
        {
          let count = try service.receiveExactly(moved).count
          #expect(count == moved)
        })
      let first = BufferLimits.cost(BufferLimits.initial) * 2
      #expect(eventually(10) { budgets.allSatisfy { $0.taken == first } })
      if isGone { for budget in budgets { budget.exhaust(for: others) } }
      kept.append(fill(program))
      program.resetOnClose()
      service.resetOnClose()
    }
    #expect(kept[0] > 1_500_000, "with a budget it is to have room")
    #expect(kept[1] < 1_000_000)
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

extension BufferBudget {
  /// Takes all that a deployment may have, and another one likewise.
  fileprivate func exhaust(for deployment: DeploymentName) {
    for name in [deployment, try? DeploymentName("another")].compactMap({ $0 }) {
      var bytes = 1 << 40
      while bytes > 0 { if !take(bytes, for: name) { bytes /= 2 } }
    }
  }
}
