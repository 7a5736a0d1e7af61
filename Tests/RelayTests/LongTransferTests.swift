import Relay
import Testing
import Tunnel
import TunnelTestSupport

@Suite("Long transfers", .timeLimit(.minutes(10)))
struct LongTransferTests {
  @Test(
    "Both ways at once, ten times, with half-closes and pauses, byte by byte as sent",
    arguments: pairs)
  func repeated(pair: (a: Bool, b: Bool)) throws {
    var (a, b) = (configuration(kernel: pair.a), configuration(kernel: pair.b))
    (a.keyUsage, b.keyUsage) = (KeyUsageLimit(records: 300), KeyUsageLimit(records: 350))
    let laboratory = try RelayLaboratory(a: a, b: b)
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let transfer = LongTransfer(size: Transfer.size(mebibytes: 16))
    for _ in 0..<10 {
      let program = try laboratory.connect(port)
      try transfer.run(between: program, and: try listener.accept())
    }
    #expect(eventually { laboratory.a.counters.streamsLive == 0 })
    #expect(laboratory.a.counters.streamsTruncated == 0)
    #expect(laboratory.b.counters.streamsTruncated == 0)
  }
}
