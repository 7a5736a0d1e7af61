import Glibc
import LinuxSystem
import Relay
import SystemPackage
import TestSupport
import Testing
import TunnelTestSupport

/// What a program sees of the other end's RST: as over TCP, the bytes that came before it, then the error.
@Suite("Connections that are broken off", .timeLimit(.minutes(10)))
struct BrokenConnectionTests {
  private func connect(
    _ pair: (a: Bool, b: Bool),
    _ body: (RelayLaboratory, TestSocket, inout TestSocket?) throws -> Void
  ) throws {
    let laboratory = try RelayLaboratory(
      a: configuration(kernel: pair.a), b: configuration(kernel: pair.b))
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    for _ in 0..<10 {
      let program = try laboratory.connect(port)
      program.limit(20)
      var service: TestSocket? = try listener.accept()
      service?.limit(20)
      try body(laboratory, program, &service)
    }
    #expect(eventually { laboratory.a.counters.streamsLive == 0 })
    #expect(laboratory.a.counters.streamsTruncated == 0)
    // The tunnel goes on to the next one each time.
    #expect(laboratory.a.counters.handshakes <= 6)
  }

  /// What comes until the connection ends, and how it does.
  private func rest(_ socket: TestSocket) -> (count: Int, errno: Errno?) {
    var count = 0
    while true {
      do {
        let bytes = try socket.receive()
        if bytes.isEmpty { return (count, nil) }
        count += bytes.count
      } catch { return (count, (error as? SystemError)?.errno) }
    }
  }

  @Test(
    "What was written before a close by RST is read first", arguments: pairs, [8, 30_000])
  func written(pair: (a: Bool, b: Bool), count: Int) throws {
    try connect(pair) { _, program, service in
      try service?.send([UInt8](repeating: 7, count: count))
      service?.resetOnClose()
      service = nil
      let rest = rest(program)
      #expect(rest.count == count)
      #expect(rest.errno == .connectionReset)
    }
  }

  @Test("An answer is read though its writer closed with an upload unread", arguments: pairs)
  func unreadUpload(pair: (a: Bool, b: Bool)) throws {
    try connect(pair) { _, program, service in
      try program.send([UInt8](repeating: 1, count: 100_000))
      _ = try service?.receive(10)
      // The first bytes may have come by themselves.
      try service?.awaitBytes()
      try service?.send(Array("HTTP/1.1 413".utf8))
      service = nil
      let rest = rest(program)
      #expect(rest.count == 12)
      #expect(rest.errno == .connectionReset)
    }
  }

  @Test("An end and then a reset arrive as both: EOF, then EPIPE", arguments: pairs)
  func endThenReset(pair: (a: Bool, b: Bool)) throws {
    try connect(pair) { _, program, service in
      try program.send([1])
      service?.finish()
      // With a byte unread, so that it resets.
      service = nil
      let rest = rest(program)
      #expect(rest.count == 0)
      #expect(rest.errno == nil)
      var errno: Errno?
      let isTold = eventually {
        do { try program.send([2]) } catch { errno = (error as? SystemError)?.errno }
        return errno != nil
      }
      #expect(isTold)
      #expect(errno == .brokenPipe)
    }
  }

  @Test("One that its service resets as it accepts was accepted")
  func resetAtOnce() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    try concurrently(
      { for _ in 0..<200 { try listener.accept().resetOnClose() } },
      {
        for _ in 0..<200 {
          let program = try laboratory.connect(port)
          #expect(program.ending() == .connectionReset)
        }
      })
  }

  @Test(
    "A program that does not read learns of an RST although bytes for it wait before it",
    arguments: [true, false])
  func behindWaiting(isServiceStalled: Bool) throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    var ends: [TestSocket] = [try laboratory.connect(port), try listener.accept()]
    if isServiceStalled { ends.swapAt(0, 1) }
    let stalled = ends.removeFirst()
    // Until nothing moves any more.
    _ = fcntl(ends[0].descriptor, F_SETFL, O_NONBLOCK)
    let block = [UInt8](repeating: 9, count: 1 << 20)
    var stalls = 0
    while stalls < 20 {
      if send(ends[0].descriptor, block, block.count, Int32(MSG_NOSIGNAL)) > 0 {
        stalls = 0
      } else {
        stalls += 1
        usleep(20_000)
      }
    }
    ends[0].reset()
    var poll = pollfd(fd: stalled.descriptor, events: 0, revents: 0)
    guard Glibc.poll(&poll, 1, 20_000) == 1 else {
      // What the kernel had, and what the relays made of it.
      let sockets = try run("ss", "--tcp", "--all", "--numeric", "--info", "--options").output
      Issue.record("no RST: \(laboratory.a.counters), \(laboratory.b.counters), \(sockets)")
      return
    }
    #expect(poll.revents & Int16(POLLERR) != 0)
  }
}
