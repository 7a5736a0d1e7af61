import Glibc
import LinuxSystem
import TestSupport
import Testing
import TunnelTestSupport

@testable import Relay

/// That no window makes TCP wait for a timer of its own, of 200 ms and more: a window smaller than a segment, or a
/// buffer smaller than the window that the sender was told before, so that the kernel drops what it sends.
///
/// What is dropped is counted by the kernel, in namespaces that nobody else uses: over a link with segments of 64 KiB,
/// and over one with segments of 1448 bytes, as between runners.
@Suite("Windows that change", .timeLimit(.minutes(10)))
struct WindowTests {
  /// What TCP has dropped for want of room in a buffer.
  private struct Drops: Equatable, CustomStringConvertible {
    var counts: [String: Int] = [:]
    static let names = ["TCPRcvQDrop", "TCPOFODrop", "RcvPruned"]

    /// Reads /proc/net/netstat, which has a line of names before each line of numbers.
    init(in namespaces: [NetworkNamespace]) throws {
      for namespace in namespaces {
        try namespace.perform {
          let lines = try String(contentsOfFile: "/proc/thread-self/net/netstat", encoding: .utf8)
            .split(separator: "\n").map { $0.split(separator: " ") }
          for (names, numbers) in zip(lines, lines.dropFirst()) where names[0] == numbers[0] {
            for (name, number) in zip(names, numbers) where Self.names.contains(String(name)) {
              counts[String(name), default: 0] += try #require(Int(number))
            }
          }
        }
      }
    }

    var description: String {
      counts.filter { $0.value > 0 }.map { "\($0.key) \($0.value)" }.sorted()
        .joined(separator: ", ")
    }
  }

  private func withRunners(
    apart: Bool, _ configuration: RelayConfiguration = .init(),
    _ body: (RelayLaboratory, TestSocket, UInt16) throws -> Void
  ) throws {
    try NamespaceLaboratory.with { laboratory in
      let a = try laboratory.namespace()
      let b = apart ? try laboratory.namespace() : a
      if apart {
        try laboratory.join(a.name, b.name)
      } else {
        try laboratory.run(in: a.name, "ip", "link", "set", "lo", "up")
      }
      let relays = try RelayLaboratory(
        a: configuration, b: configuration, namespaces: (a.namespace, b.namespace),
        host: apart ? "10.79.0.2" : "127.0.0.1")
      defer { relays.stop() }
      let (listener, port) = try b.namespace.perform { try TestSocket.listener() }
      let namespaces = [a.namespace, b.namespace]
      let before = try Drops(in: namespaces)
      try body(relays, listener, port)
      let after = try Drops(in: namespaces)
      #expect(after == before)
    }
  }

  private func move(_ count: Int, from: TestSocket, to: TestSocket) throws {
    try concurrently(
      { try from.send([UInt8](repeating: 1, count: count)) },
      {
        let received = try to.receiveExactly(count).count
        #expect(received == count)
      })
  }

  @Test("What was fast and rested goes on at once", arguments: [false, true])
  func rested(apart: Bool) throws {
    try withRunners(apart: apart) { relays, listener, port in
      let program = try relays.connect(port)
      let service = try listener.accept()
      let budget = (relays.a.shared.budget, relays.b.shared.budget)
      for (from, to) in [(program, service), (service, program)] {
        try move(64 << 20, from: from, to: to)
      }
      let first = BufferLimits.cost(BufferLimits.initial) * 2
      #expect(eventually(20) { budget.0.taken == first && budget.1.taken == first })
      for (from, to) in [(program, service), (service, program)] {
        for _ in 0..<3 { try move(400_000, from: from, to: to) }
      }
    }
  }

  @Test("The next stream of a tunnel is as fast as the last", arguments: [false, true])
  func reused(apart: Bool) throws {
    try withRunners(apart: apart) { relays, listener, port in
      for _ in 0..<20 {
        let program = try relays.connect(port)
        let service = try listener.accept()
        try move(8 << 20, from: program, to: service)
        try move(8 << 20, from: service, to: program)
        program.finish()
        service.finish()
        #expect(try program.receiveAll().isEmpty)
        #expect(try service.receiveAll().isEmpty)
      }
    }
  }

  @Test(
    "One for which there is no budget is slower, and waits for no timer", arguments: [false, true])
  func scarce(apart: Bool) throws {
    var configuration = RelayConfiguration()
    configuration.bufferBudget = 0
    try withRunners(apart: apart, configuration) { relays, listener, port in
      for _ in 0..<20 {
        let program = try relays.connect(port)
        let service = try listener.accept()
        // No counter tells of a sender that waits for a window larger than it has (tcp_write_wakeup). A part of a second
        // without that, 25 s with it.
        let begin = ContinuousClock.now
        try move(4 << 20, from: program, to: service)
        try move(4 << 20, from: service, to: program)
        #expect(ContinuousClock.now - begin < .seconds(20))
        program.finish()
        service.finish()
        #expect(try program.receiveAll().isEmpty)
        #expect(try service.receiveAll().isEmpty)
      }
    }
  }
}
