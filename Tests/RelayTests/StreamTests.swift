import CLinux
import Glibc
import LinuxSystem
import Model
import Relay
import SystemPackage
import Testing
import Tunnel
import TunnelTestSupport

/// The modes that the two runners may use: the kernel's where there is one, and the fallback.
let pairs: [(a: Bool, b: Bool)] = [(true, true), (false, false), (true, false), (false, true)]

/// A configuration with or without kernel TLS.
func configuration(kernel: Bool, loops: Int = 2) -> RelayConfiguration {
  var configuration = RelayConfiguration()
  (configuration.usesKernelTLS, configuration.loops) = (kernel, loops)
  return configuration
}

@Suite("Streams", .timeLimit(.minutes(10)))
struct StreamTests {
  private func laboratory(_ pair: (a: Bool, b: Bool) = (true, true)) throws -> RelayLaboratory {
    try RelayLaboratory(a: configuration(kernel: pair.a), b: configuration(kernel: pair.b))
  }

  @Test(
    "Tens of MiB each way at once, in pieces and with pauses, come through as they were",
    arguments: pairs)
  func bothWays(pair: (a: Bool, b: Bool)) throws {
    let laboratory = try laboratory(pair)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    let size = Transfer.size(mebibytes: 64)
    try concurrently(
      { try Transfer.send(size, seed: 1, to: program) },
      { try Transfer.send(size, seed: 2, to: service) },
      { try Transfer.expect(size, seed: 1, from: service) },
      { try Transfer.expect(size, seed: 2, from: program) })
    let mode = laboratory.a.counters
    #expect(mode.bytesSent == size)
    #expect(mode.bytesReceived == size)
    let isKernel = KernelTLS.probe() == .available && pair.a
    #expect(isKernel ? mode.tunnelsKernel == mode.tunnelsLive : mode.tunnelsKernel == 0)
  }

  @Test(
    "A burst in one direction, when nothing is under way in either, comes through", arguments: pairs
  )
  func burstFromRest(pair: (a: Bool, b: Bool)) throws {
    let laboratory = try laboratory(pair)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    for size in [40_000, 70_000, 131_072, 300_000] {
      let program = try laboratory.connect(port)
      let service = try listener.accept()
      service.limit(30)
      for _ in 0..<3 {
        usleep(100_000)
        try program.send([UInt8](repeating: 7, count: size))
        #expect(try service.receiveExactly(size).count == size)
      }
    }
  }

  @Test("A half-closed stream goes on in the other direction", arguments: pairs)
  func halfClose(pair: (a: Bool, b: Bool)) throws {
    let laboratory = try laboratory(pair)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    try program.send(Array("question".utf8))
    program.finish()
    #expect(try service.receiveAll() == Array("question".utf8))
    try service.send(Array("answer".utf8))
    #expect(try program.receiveExactly(6) == Array("answer".utf8))
    try service.send(Array("!".utf8))
    service.finish()
    #expect(try program.receiveAll() == Array("!".utf8))
  }

  @Test("A service that speaks first is heard")
  func serviceFirst() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let stream = try laboratory.open(port).get()
    let service = try listener.accept()
    try service.send(Array("220 hello".utf8))
    service.finish()
    usleep(100_000)
    let (program, relay) = try TestSocket.pair()
    laboratory.a.join(OwnedDescriptor(owning: relay), to: stream)
    #expect(try program.receiveAll() == Array("220 hello".utf8))
  }

  @Test(
    "An RST of the program is an RST at the service, and of the service at the program",
    arguments: pairs)
  func resets(pair: (a: Bool, b: Bool)) throws {
    let laboratory = try laboratory(pair)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    for isProgram in [true, false, true, false] {
      var program: TestSocket? = try laboratory.connect(port)
      var service: TestSocket? = try listener.accept()
      try program?.send([1])
      _ = try service?.receive(1)
      service?.limit(20)
      (isProgram ? program : service)?.resetOnClose()
      if isProgram { program = nil } else { service = nil }
      #expect((isProgram ? service : program)?.ending() == .connectionReset)
    }
    // The tunnel outlives it: each of the four took the one that the last had left.
    #expect(laboratory.a.counters.tunnelsReused >= 2)
    #expect(laboratory.a.counters.streamsTruncated == 0)
    #expect(laboratory.b.counters.streamsTruncated == 0)
  }

  @Test("A program that ends with unread data is an RST at the service")
  func unread() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    var program: TestSocket? = try laboratory.connect(port)
    let service = try listener.accept()
    service.limit(20)
    try service.send([UInt8](repeating: 1, count: 1 << 20))
    _ = try program?.receive(1)
    // The first bytes may have come by themselves.
    try program?.awaitBytes()
    program = nil
    #expect(service.ending() == .connectionReset)
  }

  @Test("A tunnel that ends without END is an RST at both programs, not a FIN", arguments: pairs)
  func truncation(pair: (a: Bool, b: Bool)) throws {
    let laboratory = try laboratory(pair)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    service.limit(20)
    program.limit(20)
    try program.send([1, 2, 3])
    #expect(try service.receiveExactly(3) == [1, 2, 3])
    laboratory.b.killTunnels(with: try #require(RunnerIdentifier(cluster: "test", name: "a")))
    #expect(program.ending() == .connectionReset)
    #expect(service.ending() == .connectionReset)
    #expect(laboratory.a.counters.streamsTruncated == 1)
  }

  @Test("A service that does not listen refuses, by errno")
  func refused() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let port = try TestSocket.listener().port
    for _ in 0..<3 {
      guard case .failure(let refusal) = try laboratory.open(port) else {
        Issue.record("it was accepted")
        return
      }
      #expect(refusal.errno == ECONNREFUSED)
    }
    #expect(laboratory.a.counters.tunnelsReused >= 1)
  }

  @Test("What the authorizer refuses is refused so, and what it leaves open times out")
  func authorization() throws {
    let laboratory = try RelayLaboratory(
      a: configuration(kernel: true), b: configuration(kernel: true),
      authorize: { stream, reply in
        #expect(stream.runner.name == "a")
        if stream.request.port.rawValue == 1 { reply(.refuse(EPERM)) }
      })
    defer { laboratory.stop() }
    func errno(_ result: Result<RelayStream, StreamRefusal>) -> Int32? {
      if case .failure(let refusal) = result { refusal.errno } else { nil }
    }
    #expect(errno(try laboratory.open(1)) == EPERM)
    #expect(errno(try laboratory.open(2, timeout: .milliseconds(300))) == ETIMEDOUT)
    #expect(errno(try laboratory.open(1)) == EPERM)
  }

  @Test("A stream that nobody joins is reset at the service")
  func abandoned() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    _ = try laboratory.open(port).get()
    let service = try listener.accept()
    service.limit(20)
    #expect(service.ending() == .connectionReset)
  }
}
