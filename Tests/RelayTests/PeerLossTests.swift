import CLinux
import Glibc
import LinuxSystem
import Relay
import SystemPackage
import TestSupport
import Testing
import Tunnel
import TunnelTestSupport

/// Two runners in namespaces of their own, joined by a veth that can be cut. No FIN or RST comes
/// through then, as from a machine without power.
@Suite("Peers that vanish", .timeLimit(.minutes(10)))
struct PeerLossTests {
  private struct Runners: Sendable {
    let relays: RelayLaboratory
    let cut: @Sendable (Bool) throws -> Void
    let listener: TestSocket
    let port: UInt16

    func connect() throws -> (program: TestSocket, service: TestSocket) {
      let program = try relays.connect(port)
      return (program, try listener.accept())
    }
  }

  private func withRunners(
    _ configuration: RelayConfiguration, _ body: (Runners) throws -> Void
  ) throws {
    try NamespaceLaboratory.with { laboratory in
      let (a, b) = (try laboratory.namespace(), try laboratory.namespace())
      try laboratory.join(a.name, b.name)
      let relays = try RelayLaboratory(
        a: configuration, b: configuration, namespaces: (a.namespace, b.namespace),
        host: "10.79.0.2")
      defer { relays.stop() }
      let (listener, port) = try b.namespace.perform { try TestSocket.listener() }
      let far = b.name
      try body(
        Runners(
          relays: relays,
          cut: { isCut in try run("ip", "-n", far, "link", "set", "wire", isCut ? "down" : "up") },
          listener: listener, port: port))
    }
  }

  @Test("A network that is cut for 5 s delays connections, and breaks none")
  func shortCut() throws {
    try withRunners(RelayConfiguration()) { runners in
      let (idle, busy) = (try runners.connect(), try runners.connect())
      let size = Transfer.size(mebibytes: 32)
      try concurrently(
        { try Transfer.send(size, seed: 1, to: busy.program) },
        { try Transfer.expect(size, seed: 1, from: busy.service) },
        {
          usleep(50_000)
          try runners.cut(true)
          sleep(5)
          try runners.cut(false)
        })
      try idle.program.send([7])
      #expect(try idle.service.receive() == [7])
      #expect(runners.relays.a.counters.streamsTruncated == 0)
      #expect(runners.relays.b.counters.streamsTruncated == 0)
    }
  }

  @Test("While the network is cut the timers of the programs run, at either end, and others wait")
  func timers() throws {
    try withRunners(RelayConfiguration()) { runners in
      let (caller, service, writer, plain) = (
        try runners.connect(), try runners.connect(), try runners.connect(), try runners.connect()
      )
      for pair in [caller, service, writer, plain] {
        for socket in [pair.program, pair.service] { socket.limit(25) }
      }
      for socket in [caller.program, service.service] {
        #expect(linux_tcp_keep_alive(socket.descriptor, 1, 1, 3) == 0)
      }
      var milliseconds: Int32 = 2000
      setsockopt(
        writer.program.descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, 4)
      try runners.cut(true)
      let begin = ContinuousClock.now
      try concurrently(
        { #expect(caller.program.ending() == .timedOut) },
        { #expect(service.service.ending() == .timedOut) },
        {
          var ending: Errno?
          while ending == nil, ContinuousClock.now - begin < .seconds(20) {
            do { try writer.program.send([1]) } catch { ending = (error as? SystemError)?.errno }
            usleep(200_000)
          }
          #expect(ending == .timedOut)
        },
        {
          for number in 0..<20 {
            try plain.program.send([UInt8(number)])
            usleep(200_000)
          }
        })
      #expect(ContinuousClock.now - begin < .seconds(12 * slowness))
      let isTold = runners.relays.observedByB.contains {
        if case .peerReachable(_, false) = $0 { true } else { false }
      }
      #expect(isTold)
      try runners.cut(false)
      #expect(try plain.service.receiveExactly(20) == Array(0..<20))
      try plain.service.send([7])
      #expect(try plain.program.receive() == [7])
      #expect(runners.relays.a.counters.streamsTruncated == 0)
      #expect(runners.relays.b.counters.streamsTruncated == 0)
    }
  }

  @Test(
    "A runner that vanishes is given up: its streams are reset, connects fail, and then recover")
  func longCut() throws {
    var brief = RelayConfiguration()
    (brief.keepAlive, brief.peerTimeout, brief.handshakeTimeout) = (
      .seconds(1), .seconds(2), .seconds(1)
    )
    try withRunners(brief) { runners in
      let (idle, busy) = (try runners.connect(), try runners.connect())
      for socket in [idle.program, idle.service, busy.program, busy.service] { socket.limit(20) }
      try runners.cut(true)
      let clock = ContinuousClock()
      let start = clock.now
      // On its way when the runner vanished, each way.
      try busy.program.send([1])
      try busy.service.send([2])
      for socket in [busy.program, busy.service, idle.program, idle.service] {
        #expect([.connectionReset, .timedOut].contains(socket.ending()))
      }
      #expect(clock.now - start < .seconds(6 * slowness))
      for _ in 0..<3 {
        guard case .failure(let refusal) = try runners.relays.open(runners.port) else {
          Issue.record("it was accepted")
          continue
        }
        // Which of the two is a matter of ARP; to the program both are EHOSTUNREACH.
        #expect([EHOSTUNREACH, ETIMEDOUT].contains(refusal.errno))
      }
      try runners.cut(false)
      #expect(eventually(20) { (try? runners.relays.open(runners.port).get()) != nil })
      #expect(eventually { runners.relays.a.counters.streamsLive <= 1 })
    }
  }

  @Test(
    "So are streams at rest, in the time that a runner may be silent and a quarter more",
    arguments: [0, 250, 500, 750])
  func longCutAtRest(phase milliseconds: UInt32) throws {
    var brief = RelayConfiguration()
    // The kernel probes at 4, 6, 8 and 10 s.
    (brief.keepAlive, brief.peerTimeout) = (.seconds(4), .seconds(12))
    brief.loops = 1
    try withRunners(brief) { runners in
      // The tunnel of the first is the one by which is seen whether the runner is there. It is given up first, since it was
      // heard of last up to a second before the cut, and another takes its place that is probed already.
      let watched = try runners.connect()
      usleep(1_200_000)
      let others = try (0..<3).map { _ in try runners.connect() }
      for _ in 0..<30 {
        for pair in others {
          try pair.program.send([1])
          #expect(try pair.service.receive() == [1])
        }
        usleep(100_000 + milliseconds * 1000 / 30)
      }
      try runners.cut(true)
      let start = ContinuousClock.now
      for pair in others + [watched] {
        pair.program.limit(40)
        #expect([.connectionReset, .timedOut].contains(pair.program.ending()))
      }
      #expect(ContinuousClock.now - start < .seconds(17))
    }
  }

  @Test("A connect that was given up while the network was cut opens nothing once it is mended")
  func givenUp() throws {
    try withRunners(RelayConfiguration()) { runners in
      // Its tunnel is then there for the next.
      do {
        let (program, service) = try runners.connect()
        program.finish()
        service.finish()
        #expect(program.ending() == nil)
        #expect(service.ending() == nil)
      }
      #expect(eventually { runners.relays.a.counters.streamsLive == 0 })
      usleep(200_000)  // its last bytes have been acknowledged
      try runners.cut(true)
      guard case .failure(let refusal) = try runners.relays.open(runners.port, timeout: .seconds(2))
      else {
        Issue.record("it was accepted")
        return
      }
      #expect(refusal.errno == ETIMEDOUT && !refusal.isReached)
      try runners.cut(false)
      let next = try runners.connect()
      try next.program.send([7])
      #expect(try next.service.receive() == [7])
      // The kernel would have asked again by then: its pauses double, from the 2 s that the cut took.
      runners.listener.limit(8)
      #expect(throws: SystemError.self) { try runners.listener.accept() }
      #expect(runners.relays.a.counters.tunnelsReused >= 1)
    }
  }
}
