import Glibc
import Relay
import Testing
import Tunnel
import TunnelTestSupport

@Suite("Streams that go on in a fresh tunnel", .timeLimit(.minutes(10)))
struct MoveTests {
  @Test(
    "While one direction is blocked the other moves from key to key, and neither loses a byte",
    arguments: [true, false])
  func blockedDirection(blocksDown: Bool) throws {
    var small = configuration(kernel: true)
    small.keyUsage = KeyUsageLimit(records: 100)
    let laboratory = try RelayLaboratory(a: small, b: small)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    let (reader, stalled) = blocksDown ? (service, program) : (program, service)
    reader.limit(20)
    let size = Transfer.size(mebibytes: 24)
    let mayRead = Gate()
    try concurrently(
      { try Transfer.send(size, seed: 1, to: reader) },
      { try Transfer.send(size, seed: 2, to: stalled) },
      {
        // Only when all of the other direction has come.
        defer { mayRead.open() }
        try Transfer.expect(size, seed: 2, from: reader)
      },
      {
        mayRead.wait()
        try Transfer.expect(size, seed: 1, from: stalled)
      })
    #expect(laboratory.a.counters.streamsTruncated == 0)
    // No record is larger than 16 KiB.
    #expect(laboratory.a.counters.streamsMoved >= size / (100 << 14))
  }
}
