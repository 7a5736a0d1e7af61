import CLinux
import Foundation
import Glibc
import HandOver
import LinuxSystem
import Model
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Tunnel
import TunnelTestSupport

@testable import Relay

/// Relays that go on with the connections of others, in this process; `RelayHandOverTests` has them in processes of their
/// own.
@Suite("A relay goes on with what another one carried", .timeLimit(.minutes(10)))
struct HandOverTests {
  /// A runner that has one relay after the other. Sendable because one thread uses it at a time.
  private final class Line: @unchecked Sendable {
    private let configuration: RelayConfiguration
    private let identities: TunnelIdentities?
    private(set) var relay: Relay
    private var former: [Relay] = []
    let ended = Mutex<[UInt64]>([])

    init(_ relay: Relay, _ identities: TunnelIdentities?, _ configuration: RelayConfiguration) {
      (self.relay, self.identities, self.configuration) = (relay, identities, configuration)
    }

    /// Has another relay take the place; how many things it took over.
    @discardableResult
    func handOver() throws -> Int {
      let next = try Relay(
        configuration: configuration, identities: identities, authorize: RelayLaboratory.dial)
      let (giving, taking) = try HandOverChannel.pair()
      let count = Mutex(0)
      let held = Mutex<[UInt64]>([])
      let before = relay
      try concurrently(
        {
          try next.takeOver(
            on: taking, as: hello, began: { number in held.withLock { $0.append(number) } },
            ended: { [self] number in ended.withLock { $0.append(number) } },
            took: { number in count.withLock { $0 += number } })
        },
        { try before.handOver(on: giving, as: hello) { left in left > 0 } })
      former.append(relay)
      relay = next
      began.withLock { $0 += held.withLock { $0 } }
      return count.withLock { $0 }
    }

    let began = Mutex<[UInt64]>([])

    func stop() {
      for relay in former + [relay] { relay.shutdown(grace: .zero) }
    }
  }

  /// Both runners of a laboratory.
  private func lines(
    _ laboratory: RelayLaboratory, _ configuration: RelayConfiguration
  ) -> (a: Line, b: Line) {
    (
      Line(laboratory.a, laboratory.identities.a, configuration),
      Line(laboratory.b, laboratory.identities.b, configuration)
    )
  }

  @Test(
    "Under load in both directions no byte is lost, wherever it is passed on",
    arguments: [(1, true), (2, false)])
  func underLoad(loops: Int, kernel: Bool) throws {
    let configuration = configuration(kernel: kernel, loops: loops)
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    let (a, b) = lines(laboratory, configuration)
    defer {
      a.stop()
      b.stop()
    }
    let (listener, port) = try TestSocket.listener()
    let size = Transfer.size(mebibytes: 24)
    let connections = try (0..<8).map { _ in
      (try laboratory.connect(port), try listener.accept())
    }
    let isOver = Mutex(false)
    let passes = Mutex(0)
    try concurrently(
      {
        defer { isOver.withLock { $0 = true } }
        try concurrently(
          connections.enumerated().flatMap { index, ends -> [@Sendable () throws -> Void] in
            let seed = UInt64(index)
            let (program, service) = ends
            program.limit(60)
            service.limit(60)
            return [
              { try Transfer.send(size, seed: seed, to: program) },
              { try Transfer.send(size, seed: seed + 100, to: service) },
              { try Transfer.expect(size, seed: seed, from: service) },
              { try Transfer.expect(size, seed: seed + 100, from: program) },
            ]
          })
      },
      {
        while !isOver.withLock({ $0 }) {
          for line in [a, b] { try line.handOver() }
          passes.withLock { $0 += 1 }
          usleep(20_000 * UInt32(slowness))
        }
      })
    let isKernel = kernel && KernelTLS.probe() == .available
    print(
      "through \(passes.withLock { 2 * $0 }) hand-overs, encrypted \(isKernel ? "by the kernel" : "here")"
    )
    #expect(passes.withLock { $0 } > 3)
    #expect(a.relay.counters.streamsTruncated == 0)
  }

  @Test("Wherever a connection stands, it goes on from there: read slowly, or ended one way")
  func states() throws {
    let configuration = configuration(kernel: true)
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    let (a, b) = lines(laboratory, configuration)
    defer {
      a.stop()
      b.stop()
    }
    let (listener, port) = try TestSocket.listener()
    func connection() throws -> (TestSocket, TestSocket) {
      let program = try laboratory.connect(port) { $0.knowsUrgent = true }
      let service = try listener.accept()
      service.limit(60)
      return (program, service)
    }
    let (silent, stalled) = (try connection(), try connection())
    let (halfClosed, closedByService) = (try connection(), try connection())
    // What is sent fills all buffers on the way, and the rest waits for room.
    let size = Transfer.size(mebibytes: 24)
    halfClosed.0.finish()
    try closedByService.1.send(Array("last words".utf8))
    closedByService.1.finish()
    #expect(try closedByService.0.receiveAll() == Array("last words".utf8))
    let passed = Gate()
    try concurrently(
      { try Transfer.send(size, seed: 1, to: stalled.0) },
      {
        defer { passed.open() }
        usleep(300_000)
        for line in [a, b, a, b] { try line.handOver() }
      },
      {
        passed.wait()
        try Transfer.expect(size, seed: 1, from: stalled.1)
      })
    #expect(try halfClosed.1.receiveAll().isEmpty)
    try halfClosed.1.send(Array("an answer".utf8))
    halfClosed.1.finish()
    #expect(try halfClosed.0.receiveAll() == Array("an answer".utf8))
    try closedByService.0.send(Array("more".utf8))
    closedByService.0.finish()
    #expect(try closedByService.1.receiveAll() == Array("more".utf8))
    try silent.0.send(Array("ping".utf8))
    #expect(try silent.1.receive(4) == Array("ping".utf8))
    silent.1.reset()
    #expect(silent.0.ending() == .connectionReset)
  }

  @Test("An idle tunnel serves the next connection in the other process, at either end")
  func idleTunnels() throws {
    let configuration = configuration(kernel: true, loops: 1)
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    let (a, b) = lines(laboratory, configuration)
    defer {
      a.stop()
      b.stop()
    }
    let (listener, port) = try TestSocket.listener()
    _ = try laboratory.connect(port)
    _ = try listener.accept()
    #expect(eventually { laboratory.a.counters.streamsLive == 0 })
    for line in [a, b] {
      #expect(try line.handOver() > 0)
      #expect(eventually { line.relay.counters.tunnelsLive > 0 })
    }
    let outcome = Outcome()
    a.relay.open(try RelayLaboratory.request(port), to: laboratory.peer) { outcome.set($0) }
    let stream = try outcome.wait().get()
    let (program, local) = try TestSocket.pair()
    a.relay.join(OwnedDescriptor(owning: local), to: stream)
    let service = try listener.accept()
    try program.send(Array("ping".utf8))
    #expect(try service.receive(4) == Array("ping".utf8))
    #expect(a.relay.counters.handshakes == 0)
    #expect(a.relay.counters.tunnelsReused == 1)
  }

  @Test("A connection to outside goes on, and is told of when it ends")
  func outside() throws {
    let relay = try Relay.withoutTunnels()
    let line = Line(relay, nil, RelayConfiguration())
    defer { line.stop() }
    let (listener, port) = try TestSocket.listener()
    let dialled = Mutex<RelayConnection?>(nil)
    let done = Gate()
    relay.dial(
      IPv4Address(0x7f00_0001), port: try PortNumber(Int(port)), timeout: .seconds(30),
      isWanted: { true }
    ) { result in
      dialled.withLock { $0 = try? result.get() }
      done.open()
    }
    done.wait()
    let connection = try #require(dialled.withLock { $0 })
    let (program, local) = try TestSocket.pair()
    let endings = Mutex(0)
    relay.join(
      OwnedDescriptor(owning: local), to: connection, of: try DeploymentName("shop"), holder: 7
    ) { endings.withLock { $0 += 1 } }
    let world = try listener.accept()
    world.limit(20)
    program.limit(20)
    try program.send(Array("ping".utf8))
    #expect(try world.receive(4) == Array("ping".utf8))
    #expect(try line.handOver() == 1)
    #expect(endings.withLock { $0 } == 1)
    #expect(line.began.withLock { $0 } == [7])
    try world.send(Array("pong".utf8))
    world.finish()
    #expect(try program.receiveAll() == Array("pong".utf8))
    try program.send(Array("more".utf8))
    program.finish()
    #expect(try world.receiveAll() == Array("more".utf8))
    #expect(eventually { line.ended.withLock { $0 } == [7] })
  }

  /// What the process that is to go on does wrong.
  enum Fault: CaseIterable {
    case endsAtOnce, isOfAnotherVersion, endsAfterBatch, saysWhatIsNoMessage
  }

  @Test("Where the other process does not take it, it goes on here", arguments: Fault.allCases)
  func notTaken(fault: Fault) throws {
    let configuration = configuration(kernel: true)
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    service.limit(20)
    let (giving, taking) = try HandOverChannel.pair()
    let failure = Mutex<(any Error)?>(nil)
    try concurrently(
      {
        do {
          try laboratory.a.handOver(on: giving, as: hello) { left in left > 0 }
        } catch { failure.withLock { $0 = error } }
      },
      { try Self.misbehave(fault, on: taking) })
    #expect(failure.withLock { $0 } != nil)
    try program.send(Array("ping".utf8))
    #expect(try service.receive(4) == Array("ping".utf8))
    try service.send(Array("pong".utf8))
    service.finish()
    #expect(try program.receiveAll() == Array("pong".utf8))
  }

  private static func misbehave(_ fault: Fault, on channel: HandOverChannel) throws {
    if fault == .endsAtOnce { return channel.end() }
    _ = try channel.receive(Istbpf_Handover_V1_Hello.self)
    try channel.send(
      Istbpf_Handover_V1_Hello.with {
        $0.version = fault == .isOfAnotherVersion ? handOverVersion + 1 : handOverVersion
      })
    guard try channel.receive(Istbpf_Handover_V1_Batch.self) != nil else { return }
    if fault == .saysWhatIsNoMessage {
      let noise = [UInt8](repeating: 0xff, count: 64)
      _ = Glibc.send(channel.descriptor, noise, noise.count, Int32(MSG_NOSIGNAL))
    }
    channel.end()
  }

  @Test("Nothing goes on of a runner whose certificate has been denied meanwhile")
  func denied() throws {
    let configuration = configuration(kernel: true)
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    let (a, _) = lines(laboratory, configuration)
    defer {
      a.stop()
      laboratory.b.shutdown(grace: .zero)
    }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    service.limit(20)
    laboratory.identities.a.deny([try #require(CertificateSerial("65"))])
    try a.handOver()
    #expect(program.ending() == .connectionReset)
    #expect(service.ending() == .connectionReset)
  }
}

private let hello = Istbpf_Handover_V1_Hello.with { $0.version = handOverVersion }
