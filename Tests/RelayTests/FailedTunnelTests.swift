import Glibc
import LinuxSystem
import Relay
import Testing
import Tunnel
import TunnelTestSupport

@Suite("Tunnels that cannot be made", .timeLimit(.minutes(10)))
struct FailedTunnelTests {
  private func openTwo(_ laboratory: RelayLaboratory) throws -> [Result<RelayStream, StreamRefusal>]
  {
    let (listener, port) = try TestSocket.listener()
    let outcomes = [Outcome(), Outcome()]
    for outcome in outcomes {
      laboratory.a.open(try RelayLaboratory.request(port), to: laboratory.peer) { outcome.set($0) }
    }
    defer { _ = listener }
    return outcomes.map { $0.wait() }
  }

  private func laboratory(_ fate: @escaping @Sendable (Int) -> Wire.Fate) throws -> RelayLaboratory
  {
    try RelayLaboratory(
      a: configuration(kernel: true, loops: 1),
      wire: { port in
        try Wire(to: port, fate: fate).port
      })
  }

  @Test("One tunnel that cannot be made fails one connect, not those that another is made for")
  func oneFailure() throws {
    let laboratory = try laboratory {
      $0 == 0 ? .answered(Array("220 mail.example ESMTP\r\n".utf8)) : .carried(after: 300_000)
    }
    defer { laboratory.stop() }
    let outcomes = try openTwo(laboratory)
    let refusals = outcomes.compactMap {
      if case .failure(let refusal) = $0 { refusal } else { nil }
    }
    #expect(refusals.map(\.errno) == [EHOSTUNREACH])
  }

  @Test("A handshake that the peer breaks off, as it does under a flood, is tried once more")
  func brokenOff() throws {
    let laboratory = try laboratory { $0 < 2 ? .reset : .carried() }
    defer { laboratory.stop() }
    for outcome in try openTwo(laboratory) { _ = try outcome.get() }
    let always = try self.laboratory { _ in .reset }
    defer { always.stop() }
    for outcome in try openTwo(always) {
      guard case .failure(let refusal) = outcome else {
        Issue.record("it was accepted")
        continue
      }
      #expect(refusal.errno == EHOSTUNREACH)
    }
  }

  @Test(
    "A runner that refuses the certificate after this side's handshake is not asked without end")
  func refused() throws {
    let laboratory = try RelayLaboratory(a: configuration(kernel: true, loops: 1))
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    defer { _ = listener }
    laboratory.identities.b.deny([try #require(CertificateSerial("64"))])
    // Many at once, so that tunnels are made ahead of demand.
    let outcomes = (0..<40).map { _ in Outcome() }
    for outcome in outcomes {
      laboratory.a.open(try RelayLaboratory.request(port), to: laboratory.peer) { outcome.set($0) }
    }
    for outcome in outcomes {
      guard case .failure(let refusal) = outcome.wait() else {
        Issue.record("it was accepted")
        continue
      }
      #expect(refusal.errno == EHOSTUNREACH)
    }
    usleep(200_000)
    let handshakes = laboratory.b.counters.handshakesFailed
    #expect(handshakes >= 1 && handshakes < 4 * outcomes.count)
    sleep(1)
    #expect(laboratory.b.counters.handshakesFailed == handshakes)
  }

  @Test("A handshake that the peer has no time for is no sign that the service cannot be reached")
  func tooBusy() throws {
    var brief = configuration(kernel: true, loops: 1)
    brief.handshakeTimeout = .seconds(4)
    let laboratory = try RelayLaboratory(
      a: brief,
      wire: { port in
        // As the peer's own time for it would end, were it a little shorter.
        try Wire(to: port, fate: { _ in .ended(after: 3_000_000) }).port
      })
    defer { laboratory.stop() }
    for outcome in try openTwo(laboratory) {
      guard case .failure(let refusal) = outcome else {
        Issue.record("it was accepted")
        continue
      }
      // By which the caller's connect is tried again as long as its kernel sends its SYN.
      #expect(refusal.errno == ETIMEDOUT)
      #expect(refusal.isSilence)
    }
  }

  @Test("A tunnel that its peer gives up just as it is ready here is made anew")
  func givenUpAtTheOtherEnd() throws {
    var brief = configuration(kernel: true, loops: 1)
    brief.handshakeTimeout = .seconds(4)
    let laboratory = try RelayLaboratory(
      a: brief,
      wire: { port in
        // The peer's certificate comes late, and this one's never: in TLS 1.3 this end is ready all the same.
        try Wire(to: port, fate: { $0 == 0 ? .unheard(after: 2_500_000) : .carried() }).port
      })
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    _ = try laboratory.open(port).get()
    _ = listener
  }

  @Test("Many connects to a runner that is not there all end soon")
  func manyFailures() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let gone = TunnelPeer(
      runner: laboratory.peer.runner,
      address: try #require(SocketAddress("127.0.0.1", port: try TestSocket.listener().port)))
    let outcomes = (0..<500).map { _ in Outcome() }
    for outcome in outcomes {
      laboratory.a.open(try RelayLaboratory.request(9), to: gone) { outcome.set($0) }
    }
    let clock = ContinuousClock()
    let time = clock.measure { for outcome in outcomes { _ = outcome.wait() } }
    #expect(time < .seconds(9), "before their own time limit")
  }
}
