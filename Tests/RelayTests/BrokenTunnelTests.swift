import Glibc
import Model
import Relay
import Synchronization
import Testing
import Tunnel
import TunnelTestSupport

@Suite("Tunnels that break", .timeLimit(.minutes(10)))
struct BrokenTunnelTests {
  /// Whether the connection of `socket` has been reset, as a program sees it that does not read.
  private func isReset(_ socket: TestSocket) -> Bool {
    var poll = pollfd(fd: socket.descriptor, events: 0, revents: 0)
    return Glibc.poll(&poll, 1, 0) == 1 && poll.revents & Int16(POLLERR) != 0
  }

  @Test(
    "A program that does not read is reset at once when its tunnel ends",
    arguments: [true, false])
  func programThatDoesNotRead(byReset: Bool) throws {
    let wire = Mutex<Wire?>(nil)
    let laboratory = try RelayLaboratory(wire: { port in
      let made = try Wire(to: port)
      wire.withLock { $0 = made }
      return made.port
    })
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    // Until the relay has bytes which the program's socket does not take. Not more: a FIN comes
    // behind what the tunnel's window has no room for.
    var sent = 0
    while eventually(1, { laboratory.a.counters.bytesReceived == sent }) {
      try service.send([UInt8](repeating: 9, count: 65_536))
      sent += 65_536
    }
    #expect(!isReset(program))
    wire.withLock { $0?.cut(reset: byReset) }
    #expect(eventually { isReset(program) })
    #expect(eventually { isReset(service) })
    #expect(laboratory.a.counters.streamsTruncated == 1)
  }

  @Test("A program that said its last, and reads late what the far one left, gets all of it")
  func lateReader() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    program.finish()
    var service: TestSocket? = try listener.accept()
    #expect(try service?.receiveAll() == [])
    try service?.send([UInt8](repeating: 5, count: 200_000))
    service = nil
    usleep(300_000)
    laboratory.b.killTunnels(with: try #require(RunnerIdentifier(cluster: "test", name: "a")))
    #expect(try program.receiveAll().count == 200_000)
    #expect(laboratory.a.counters.streamsTruncated == 0)
  }

  @Test("A service that does not read for longer than the limit of a silent peer keeps its stream")
  func patience() throws {
    var brief = RelayConfiguration()
    (brief.keepAlive, brief.peerTimeout) = (.seconds(1), .seconds(2))
    let laboratory = try RelayLaboratory(a: brief, b: brief)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    let size = Transfer.size(mebibytes: 48)
    try concurrently(
      { try Transfer.send(size, seed: 1, to: program) },
      {
        sleep(8)
        try Transfer.expect(size, seed: 1, from: service)
      })
    #expect(laboratory.a.counters.streamsTruncated == 0)
  }
}
