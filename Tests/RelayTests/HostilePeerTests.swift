import CLinux
import Glibc
import LinuxSystem
import Model
import Relay
import Testing
import Tunnel
import TunnelTestSupport

@Suite("Peers that do not behave", .timeLimit(.minutes(10)))
struct HostilePeerTests {
  /// `b` with short limits.
  private func laboratory(_ change: (inout RelayConfiguration) -> Void = { _ in }) throws
    -> RelayLaboratory
  {
    var b = RelayConfiguration()
    b.handshakeTimeout = .seconds(1)
    b.answerTimeout = .seconds(1)
    change(&b)
    return try RelayLaboratory(b: b)
  }

  private func stillWorks(_ laboratory: RelayLaboratory) throws {
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    try program.send([42])
    #expect(try service.receive() == [42])
  }

  @Test("Plain TCP, garbage and a TLS record of nonsense end at once, and others go on")
  func noTLS() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let noise = (0..<4096).map { _ in UInt8.random(in: 0...255) }
    for bytes in [Array("GET / HTTP/1.1\r\n\r\n".utf8), noise, [22, 3, 1, 0, 4, 1, 0, 0, 0]] {
      let socket = try TestSocket.connect(laboratory.peer.address.port)
      try socket.send(bytes)
      socket.limit(10)
      #expect(socket.ending() != .resourceTemporarilyUnavailable)
    }
    #expect(eventually { laboratory.b.counters.handshakesFailed == 3 })
    try stillWorks(laboratory)
  }

  @Test("TLS 1.2 is refused")
  func oldTLS() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let result = try runOpenSSL("-tls1_2", port: laboratory.peer.address.port)
    #expect(result.contains("alert protocol version"), "\(result)")
    #expect(try runOpenSSL("-tls1_3", port: laboratory.peer.address.port).contains("TLSv1.3"))
    try stillWorks(laboratory)
  }

  @Test(
    "A certificate of the authority that names no runner of the cluster is refused",
    arguments: [
      "", "DNS:a", "URI:spiffe://other/runner/a", "URI:spiffe://test/service/a",
      "URI:spiffe://test/runner/a,URI:spiffe://test/runner/b",
    ])
  func wrongNames(names: String) throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let credentials = try laboratory.authority.issue(names: names)
    let path = "/tmp/istbpf-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).pem"
    defer { unlink(path) }
    let file = try OwnedDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_EXCL)
    let text = Array((credentials.certificate + credentials.key).utf8)
    #expect(write(file.rawValue, text, text.count) == text.count)
    _ = try runOpenSSL("-cert \(path) -key \(path)", port: laboratory.peer.address.port)
    let isRefused = eventually {
      laboratory.observedByB.contains {
        if case .handshakeFailed(let error, true) = $0 { error.kind == .wrongName } else { false }
      }
    }
    #expect(isRefused)
  }

  private func runOpenSSL(_ options: String, port: UInt16) throws -> String {
    let pipe = try #require(
      popen("openssl s_client -connect 127.0.0.1:\(port) \(options) </dev/null 2>&1", "r"))
    defer { pclose(pipe) }
    var (text, bytes) = ("", [UInt8](repeating: 0, count: 4096))
    while true {
      let count = fread(&bytes, 1, bytes.count, pipe)
      if count == 0 { return text }
      text += String(decoding: bytes.prefix(count), as: UTF8.self)
    }
  }

  @Test("A handshake that is not finished in time is ended")
  func slow() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let socket = try TestSocket.connect(laboratory.peer.address.port)
    socket.limit(10)
    try socket.send([22])
    #expect(socket.ending() != .resourceTemporarilyUnavailable)
    let isTold = laboratory.observedByB.contains {
      if case .handshakeFailed(let error, true) = $0 { error.kind == .timedOut } else { false }
    }
    #expect(isTold)
  }

  @Test(
    "10,000 half-open handshakes: the oldest go, and a runner still gets its tunnels",
    arguments: [1, 50])
  func halfOpen(addresses: Int) throws {
    let laboratory = try laboratory { $0.handshakeTimeout = .seconds(60) }
    defer { laboratory.stop() }
    let port = laboratory.peer.address.port
    try concurrently(
      {
        var sockets: [TestSocket] = []
        for number in 0..<10_000 {
          if sockets.count >= 2000 { sockets.removeFirst(500) }
          let address = "127.0.7.\(number % addresses + 1)"
          sockets.append(try TestSocket.connect(port, from: address))
        }
      },
      { for _ in 0..<10 { try stillWorks(laboratory) } })
    try stillWorks(laboratory)
    // One address gets a quarter of the 1024 that there may be.
    let hasEnded = eventually {
      let counters = laboratory.b.counters
      return counters.handshakesEvicted + counters.handshakesFailed
        >= (addresses == 1 ? 9700 : 8900)
    }
    #expect(hasEnded)
  }

  @Test("A flood of half-open handshakes from many addresses ends its own, not one of another's")
  func floodFromMany() throws {
    let laboratory = try laboratory {
      ($0.loops, $0.maximumHalfOpen, $0.handshakeTimeout) = (1, 8, .seconds(60))
    }
    defer { laboratory.stop() }
    let port = laboratory.peer.address.port
    let other = try TestSocket.connect(port, from: "127.0.8.1")
    let flood = try (0..<40).map { try TestSocket.connect(port, from: "127.0.7.\($0 % 4 + 1)") }
    #expect(eventually { laboratory.b.counters.handshakesEvicted == 33 })
    flood[0].limit(10)
    #expect(flood[0].ending() != .resourceTemporarilyUnavailable)
    other.limit(1)
    #expect(other.ending() == .resourceTemporarilyUnavailable)
  }

  // MARK: - Inside an authenticated tunnel

  /// A tunnel to `b` by hand.
  private func tunnel(_ laboratory: RelayLaboratory, as name: String = "a") throws -> TunnelChannel
  {
    try laboratory.tunnel(TunnelIdentities(try laboratory.authority.identity(name, serial: 77)))
  }

  /// The answer to what has been sent, or how the tunnel ended.
  private func answer(_ channel: TunnelChannel) throws -> Result<StreamAnswer, TunnelError> {
    var reader = FrameReader()
    for _ in 0..<5000 {
      switch reader.next(from: channel) {
      case .blocked: usleep(1000)
      case .frame(.answer(let count)): reader.expectMessage(count)
      case .message(let bytes): return .success(try StreamAnswer(decoding: bytes))
      case .frame(let frame): throw StreamRefusal(errno: EPROTO, cause: "\(frame)")
      case .ended(let error, _): return .failure(error)
      }
    }
    throw StreamRefusal(errno: ETIMEDOUT, cause: "no answer")
  }

  private func send(_ bytes: [UInt8], on channel: TunnelChannel) {
    #expect(channel.append(bytes) && channel.flush() == .done)
  }

  @Test("An oversized preface is answered with EMSGSIZE and the tunnel closed")
  func oversized() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let channel = try tunnel(laboratory)
    send(Frame.preface(2000).bytes + [UInt8](repeating: 0, count: 2000), on: channel)
    #expect(try answer(channel).get().errno == EMSGSIZE)
    #expect(throws: TunnelError.self) { try answer(channel).get() }
    try stillWorks(laboratory)
  }

  @Test("An unknown version is answered with EPROTONOSUPPORT, and the tunnel can go on")
  func version() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let channel = try tunnel(laboratory)
    send(Frame.preface(2).bytes + [0x08, 9], on: channel)
    #expect(try answer(channel).get().errno == EPROTONOSUPPORT)
    let port = try TestSocket.listener().port
    send(try StreamPreface.open(RelayLaboratory.request(port)).frame(), on: channel)
    #expect(try answer(channel).get().errno == ECONNREFUSED)
  }

  @Test("A preface that is none is answered with EPROTO and the tunnel closed")
  func nonsense() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let channel = try tunnel(laboratory)
    send(Frame.preface(3).bytes + [0xff, 0xff, 0xff], on: channel)
    #expect(try answer(channel).get().errno == EPROTO)
    #expect(throws: TunnelError.self) { try answer(channel).get() }
  }

  @Test("A preface that does not come to its end closes the tunnel in time")
  func truncated() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let channel = try tunnel(laboratory)
    send(Frame.preface(10).bytes + [0x08], on: channel)
    #expect(throws: TunnelError.self) { try answer(channel).get() }
  }

  @Test("Frames out of place close the tunnel")
  func outOfPlace() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    for bytes in [Frame.data(5).bytes, Frame.end.bytes, [0, 0, 0, 0], Frame.move.bytes] {
      let channel = try tunnel(laboratory)
      send(bytes, on: channel)
      #expect(throws: TunnelError.self) { try answer(channel).get() }
    }
    try stillWorks(laboratory)
  }

  @Test("Nobody continues a stream that is not theirs, or that is none")
  func foreignResume() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let mine = try tunnel(laboratory)
    send(try StreamPreface.open(RelayLaboratory.request(port)).frame(), on: mine)
    let token = try #require(try answer(mine).get().token)
    let service = try listener.accept()
    let other = try tunnel(laboratory, as: "c")
    send(try StreamPreface.resume(token, sending: false).frame(), on: other)
    #expect(try answer(other).get().errno == ESRCH)
    send(try StreamPreface.resume(StreamToken(loop: 9999), sending: true).frame(), on: other)
    #expect(try answer(other).get().errno == ESRCH)
    // It may come from the relay before.
    for (duration, errno) in [(Duration.seconds(60), EAGAIN), (.zero, ESRCH)] {
      laboratory.b.expectTakeOver(within: duration)
      send(try StreamPreface.resume(StreamToken(loop: 9999), sending: true).frame(), on: other)
      #expect(try answer(other).get().errno == errno)
    }
    // And an end without END is an RST.
    service.limit(20)
    send(Frame.data(100).bytes + [1, 2, 3], on: mine)
    mine.close()
    shutdown(mine.descriptor, Int32(SHUT_RDWR))
    #expect(service.ending() == .connectionReset)
  }

  @Test("A certificate that is denied ends its live tunnels and streams, and gets no new ones")
  func revokedLive() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    service.limit(20)
    program.limit(20)
    laboratory.identities.b.deny([try #require(CertificateSerial("64"))])  // 100
    laboratory.b.enforceDenyList()
    #expect(program.ending() == .connectionReset)
    #expect(service.ending() == .connectionReset)
    guard case .failure(let refusal) = try laboratory.open(port) else {
      Issue.record("it was accepted")
      return
    }
    #expect(refusal.errno == EHOSTUNREACH)
    #expect(refusal.cause.contains("revoked"), "\(refusal.cause)")
    // Rotated, it is welcome again.
    laboratory.identities.a.rotate(to: try laboratory.authority.identity("a", serial: 200))
    _ = try laboratory.open(port).get()
  }

  @Test("A rotation leaves live streams alone")
  func rotation() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    laboratory.identities.a.rotate(to: try laboratory.authority.identity("a", serial: 300))
    laboratory.identities.b.rotate(to: try laboratory.authority.identity("b", serial: 301))
    try program.send([7])
    #expect(try service.receive() == [7])
  }

  @Test("A runner that is not there, or is another, is EHOSTUNREACH; one that is silent, ETIMEDOUT")
  func unreachable() throws {
    let laboratory = try laboratory()
    defer { laboratory.stop() }
    func refusal(_ port: UInt16, _ name: String) throws -> StreamRefusal? {
      let peer = TunnelPeer(
        runner: try #require(RunnerIdentifier(cluster: "test", name: name)),
        address: try #require(SocketAddress("127.0.0.1", port: port)))
      if case .failure(let refusal) = try laboratory.open(9, to: peer, timeout: .seconds(1)) {
        return refusal
      }
      return nil
    }
    let gone = try TestSocket.listener().port
    for refusal in [try refusal(gone, "b"), try refusal(laboratory.peer.address.port, "z")] {
      #expect(refusal?.errno == EHOSTUNREACH)
      #expect(refusal?.isReached == false && refusal?.isSilence == false)
    }
    let (silent, port) = try TestSocket.listener()
    let refused = try refusal(port, "b")
    #expect(refused?.errno == ETIMEDOUT)
    #expect(refused?.isReached == false && refused?.isSilence == true)
    _ = silent
  }
}
