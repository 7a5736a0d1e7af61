import CLinux
import Foundation
import LinuxSystem
import Model
import Testing
import Tunnel
import TunnelTestSupport

@testable import Relay

@Suite("Tunnels from one stream to the next", .timeLimit(.minutes(10)))
struct ReuseTests {
  private func exchange(_ laboratory: RelayLaboratory, _ listener: TestSocket, _ port: UInt16)
    throws
  {
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    try program.send(Array("ping".utf8))
    program.finish()
    #expect(try service.receiveAll() == Array("ping".utf8))
    service.finish()
    #expect(try program.receiveAll().isEmpty)
  }

  @Test("200 streams one after the other need no more than a few handshakes", arguments: [1, 2, 4])
  func reuse(loops: Int) throws {
    let configuration = configuration(kernel: true, loops: loops)
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    for _ in 0..<200 { try exchange(laboratory, listener, port) }
    let counters = laboratory.a.counters
    #expect(counters.streamsOpened == 200)
    #expect(counters.handshakes <= 4)
    #expect(counters.tunnelsReused >= 196)
  }

  @Test("So do 200 that the program just closes, whose end the service sees later")
  func reuseAfterClose() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    for _ in 0..<200 {
      let program = try laboratory.connect(port)
      let service = try listener.accept()
      try service.send([1])
      #expect(try program.receive(1) == [1])
      // Both go out of scope, and are closed: program first.
      _ = consume program
      _ = consume service
    }
    #expect(laboratory.a.counters.handshakes <= 8)
  }

  @Test("A tunnel that was in use while the idle ones grew old is reused like any other")
  func reuseAfterExpiry() throws {
    var brief = configuration(kernel: true, loops: 1)
    brief.idleTimeout = .seconds(1)
    let laboratory = try RelayLaboratory(a: brief, b: configuration(kernel: true, loops: 1))
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    try exchange(laboratory, listener, port)
    let streams = try (0..<3).map { _ in (try laboratory.connect(port), try listener.accept()) }
    for (program, service) in streams.dropFirst() {
      program.finish()
      service.finish()
      #expect(try service.receiveAll().isEmpty && program.receiveAll().isEmpty)
    }
    // One that carries a stream, and one that is kept ready.
    #expect(eventually { laboratory.a.counters.tunnelsLive == 2 })
    for (program, service) in streams.prefix(1) {
      program.finish()
      service.finish()
      #expect(try service.receiveAll().isEmpty && program.receiveAll().isEmpty)
    }
    let before = laboratory.a.counters
    try exchange(laboratory, listener, port)
    #expect(laboratory.a.counters.tunnelsReused == before.tunnelsReused + 1)
    #expect(laboratory.a.counters.handshakes == before.handshakes)
  }

  @Test("From the first stream on one tunnel is ready for the next, for as long as any is carried")
  func ready() throws {
    var brief = configuration(kernel: true, loops: 1)
    brief.idleTimeout = .milliseconds(200)
    brief.readyTimeout = .milliseconds(200)
    let laboratory = try RelayLaboratory(a: brief, b: configuration(kernel: true, loops: 1))
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    #expect(laboratory.a.counters.tunnelsReused == 0)
    #expect(eventually { laboratory.a.counters.tunnelsLive == 2 })
    // Longer than the others would be kept.
    usleep(1_000_000)
    #expect(laboratory.a.counters.tunnelsLive == 2)
    let next = try laboratory.connect(port)
    #expect(laboratory.a.counters.tunnelsReused == 1)
    for socket in [program, service, next, try listener.accept()] { socket.finish() }
    #expect(eventually { laboratory.a.counters.tunnelsLive == 0 })
  }

  @Test("Idle tunnels are closed after a while, on both sides, the last one of a peer later")
  func idle() throws {
    var brief = configuration(kernel: true, loops: 1)
    brief.idleTimeout = .milliseconds(200)
    brief.readyTimeout = .seconds(2)
    let laboratory = try RelayLaboratory(a: brief, b: configuration(kernel: true))
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    try exchange(laboratory, listener, port)
    #expect(eventually { laboratory.a.counters.handshakes == 2 })
    #expect(eventually { laboratory.a.counters.tunnelsLive == 1 })
    #expect(eventually { laboratory.a.counters.tunnelsLive == 0 })
    #expect(eventually { laboratory.b.counters.tunnelsLive == 0 })
    try exchange(laboratory, listener, port)
  }

  @Test(
    "To a peer that is prepared one tunnel is ready before the first stream, and again after it was ended"
  )
  func prepared() throws {
    var brief = configuration(kernel: true, loops: 2)
    brief.idleTimeout = .milliseconds(200)
    brief.readyTimeout = .milliseconds(200)
    let laboratory = try RelayLaboratory(a: brief)
    defer { laboratory.stop() }
    laboratory.a.prepare([laboratory.peer])
    #expect(eventually { laboratory.b.counters.tunnelsLive == 1 })
    // Longer than one that was made for a stream would be kept.
    usleep(1_000_000)
    #expect(laboratory.a.counters.tunnelsLive == 1)
    let (listener, port) = try TestSocket.listener()
    try exchange(laboratory, listener, port)
    #expect(laboratory.a.counters.tunnelsReused == 1)
    laboratory.b.killTunnels(with: try #require(RunnerIdentifier(cluster: "test", name: "a")))
    let made = laboratory.a.counters.handshakes
    #expect(eventually { laboratory.a.counters.handshakes == made + 1 })
    #expect(eventually { laboratory.b.counters.tunnelsLive == 1 })
    try exchange(laboratory, listener, port)
    #expect(laboratory.a.counters.tunnelsReused == 2)
    laboratory.a.prepare([])
    #expect(eventually { laboratory.a.counters.tunnelsLive == 0 })
  }

  @Test(
    "A prepared peer that breaks off the handshake is dialled again, and one that takes its place is reached"
  )
  func preparedLater() throws {
    let laboratory = try RelayLaboratory(a: configuration(kernel: true, loops: 1))
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let peer = TunnelPeer(
      runner: laboratory.peer.runner,
      address: try #require(SocketAddress("127.0.0.1", port: port)))
    laboratory.a.prepare([peer])
    // What no runner says.
    for _ in 0..<2 { try listener.accept().send(Array("no".utf8)) }
    #expect(eventually { laboratory.a.counters.handshakesFailed == 2 })
    laboratory.a.prepare([laboratory.peer])
    #expect(eventually { laboratory.b.counters.tunnelsLive == 1 })
  }

  @Test(
    "A prepared peer is dialled after 1 s, 2 s and so on up to a minute, and anew where all was well for long"
  )
  func preparedPauses() {
    let second: UInt64 = 1_000_000_000
    var attempts = PreparedPeers.Attempts()
    #expect(attempts.next == 0, "at once")
    var now = 1000 * second
    for pause: UInt64 in [1, 2, 4, 8, 16, 32, 60, 60] {
      attempts.begin(at: now)
      #expect(attempts.next == now + pause * second)
      now = attempts.next
    }
    now += 60 * second
    attempts.begin(at: now)
    #expect(attempts.next == now + second)
  }

  @Test("After a peer has ended all tunnels, the next stream makes a new one")
  func peerRestarts() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    try exchange(laboratory, listener, port)
    for _ in 0..<3 {
      laboratory.b.killTunnels(with: try #require(RunnerIdentifier(cluster: "test", name: "a")))
      try exchange(laboratory, listener, port)
    }
  }

  @Test("A stream longer than its keys' limit moves on without losing a byte", arguments: pairs)
  func moves(pair: (a: Bool, b: Bool)) throws {
    var (a, b) = (configuration(kernel: pair.a), configuration(kernel: pair.b))
    let size = Transfer.size(mebibytes: 24)
    // Each key for a few moves, at different times.
    let records = UInt64(size / 16_384)
    a.keyUsage = KeyUsageLimit(records: records / 4)
    b.keyUsage = KeyUsageLimit(records: records / 5)
    let laboratory = try RelayLaboratory(a: a, b: b)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    try concurrently(
      { try Transfer.send(size, seed: 3, to: program) },
      { try Transfer.send(size, seed: 4, to: service) },
      { try Transfer.expect(size, seed: 3, from: service) },
      { try Transfer.expect(size, seed: 4, from: program) })
    #expect(laboratory.a.counters.streamsMoved >= 3)
    #expect(eventually { laboratory.b.counters.streamsMoved == laboratory.a.counters.streamsMoved })
    #expect(laboratory.a.counters.streamsTruncated == 0)
  }

  @Test("A stream in one direction only moves too, whichever it is", arguments: [true, false])
  func movesOneWay(isUp: Bool) throws {
    var small = configuration(kernel: true)
    small.keyUsage = KeyUsageLimit(records: 100)
    let laboratory = try RelayLaboratory(a: small, b: small)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    let (from, to) = isUp ? (program, service) : (service, program)
    to.finish()
    try concurrently(
      { try Transfer.send(8 << 20, seed: 5, to: from) },
      { try Transfer.expect(8 << 20, seed: 5, from: to) })
    #expect(laboratory.a.counters.streamsMoved >= 2)
  }

  @Test("A peer that stops reading stops the sender, and nothing is lost")
  func backpressure() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    _ = fcntl(program.descriptor, F_SETFL, O_NONBLOCK)
    let block = [UInt8](repeating: 9, count: 1 << 20)
    var (sent, stalls) = (0, 0)
    while stalls < 30 {
      let count = send(program.descriptor, block, block.count, Int32(MSG_NOSIGNAL))
      if count > 0 { (sent, stalls) = (sent + count, 0) } else { stalls += 1; usleep(20_000) }
    }
    // Three connections' socket buffers, each at most tcp_wmem + tcp_rmem: some 10 MiB. What the
    // process itself holds, relay-bench measures: other tests share this one's memory.
    #expect(sent < 64 << 20)
    _ = fcntl(program.descriptor, F_SETFL, 0)
    program.finish()
    var received = 0
    while true {
      let count = try service.receive(1 << 20).count
      if count == 0 { break }
      received += count
    }
    #expect(received == sent)
  }

  /// A connection whose far program has ended it and does not read what the near one has sent, then closed.
  private func leaveUnread(
    _ laboratory: RelayLaboratory, _ change: (inout StreamRequest) -> Void = { _ in }
  ) throws -> TestSocket {
    let (listener, port) = try TestSocket.listener()
    var size: Int32 = 4096
    setsockopt(
      listener.descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    let program = try laboratory.connect(port, change)
    let service = try listener.accept()
    // The one that is kept ready, so that this stream's is the last to come back, and the first to be taken.
    #expect(eventually { laboratory.b.counters.tunnelsLive == 2 })
    service.finish()
    #expect(try program.receiveAll().isEmpty)
    try program.send([UInt8](repeating: 5, count: Self.unread))
    program.finish()
    return service
  }

  /// More than a service's own socket takes, and less than there is room for on the way to it.
  private static let unread = 120_000

  @Test(
    "A stream does not wait behind what the far program of the last one has not read",
    arguments: pairs)
  func unread(pair: (a: Bool, b: Bool)) throws {
    let laboratory = try RelayLaboratory(
      a: configuration(kernel: pair.a, loops: 1), b: configuration(kernel: pair.b, loops: 1))
    defer { laboratory.stop() }
    let service = try leaveUnread(laboratory)
    usleep(300_000)
    let (other, port) = try TestSocket.listener()
    let begin = ContinuousClock.now
    try exchange(laboratory, other, port)
    #expect(ContinuousClock.now - begin < .seconds(3))
    // And the tunnel comes back when all is read.
    #expect(laboratory.a.counters.streamsLive == 1)
    #expect(try service.receiveAll().count == Self.unread)
    #expect(eventually { laboratory.a.counters.streamsLive == 0 })
    #expect(eventually { laboratory.b.counters.streamsLive == 0 })
    let handshakes = laboratory.a.counters.handshakes
    try exchange(laboratory, other, port)
    #expect(laboratory.a.counters.handshakes == handshakes)
    #expect(laboratory.a.counters.streamsTruncated == 0)
  }

  @Test("With a runner that does not say that all is read, the next stream takes a fresh tunnel")
  func unreadUnsaid() throws {
    let laboratory = try RelayLaboratory(
      a: configuration(kernel: true, loops: 1), b: configuration(kernel: true, loops: 1))
    defer { laboratory.stop() }
    let service = try leaveUnread(laboratory) { $0.awaitsDone = false }
    #expect(eventually { laboratory.a.counters.streamsLive == 0 })
    let (other, port) = try TestSocket.listener()
    let begin = ContinuousClock.now
    guard
      case .success(let stream) = try laboratory.open(
        port, timeout: .seconds(1), answerTimeout: .seconds(20))
    else {
      Issue.record("it was not opened")
      return
    }
    #expect(ContinuousClock.now - begin > .milliseconds(900))
    let (program, relay) = try TestSocket.pair()
    laboratory.a.join(OwnedDescriptor(owning: relay), to: stream)
    try program.send([7])
    #expect(try other.accept().receive(1) == [7])
    #expect(try service.receiveAll().count == Self.unread)
  }

  @Test("Streams at once, 200 of them, each get their own bytes, and leave no descriptor")
  func many() throws {
    func descriptors() -> Int {
      (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    }
    let before = descriptors()
    do {
      let laboratory = try RelayLaboratory()
      defer { laboratory.stop() }
      let (listener, port) = try TestSocket.listener()
      let serve: @Sendable () throws -> Void = {
        for _ in 0..<200 {
          let service = try listener.accept()
          var thread = pthread_t()
          pthread_create(
            &thread, nil,
            { argument in
              guard let argument else { return nil }
              let service = Unmanaged<TestSocket>.fromOpaque(argument).takeRetainedValue()
              while let bytes = try? service.receive(), !bytes.isEmpty {
                try? service.send(bytes)
              }
              return nil
            }, Unmanaged.passRetained(service).toOpaque())
          pthread_detach(thread)
        }
      }
      let programs = (0..<8).map { worker in
        { @Sendable () throws -> Void in
          for number in 0..<25 {
            let program = try laboratory.connect(port)
            let bytes = [UInt8](repeating: UInt8(worker * 25 + number), count: 5000)
            try program.send(bytes)
            program.finish()
            #expect(try program.receiveAll() == bytes)
          }
        }
      }
      try concurrently([serve] + programs)
      #expect(laboratory.a.counters.streamsOpened == 200)
      #expect(eventually { laboratory.a.counters.streamsLive == 0 })
    }
    // Other suites' descriptors come and go; hundreds would be ours.
    #expect(eventually { descriptors() < before + 100 })
  }
}
