import Model
import Testing

@testable import NameResolution

@Suite struct NameRecordTests {
  private let limits = NameLimits(keepsFormer: 100, keepsOnFailure: 1000)

  private func addresses(_ octets: Int...) -> [IPv4Address] {
    octets.map { IPv4Address(0xc000_0200 + UInt32($0)) }
  }

  private func take(
    _ record: inout NameRecord, _ outcome: LookupOutcome, at now: BootTime,
    refusing refused: [IPv4Address] = []
  ) {
    record.take(outcome, at: now, limits) { refused.contains($0) ? "refused" : nil }
  }

  @Test(arguments: [(0.0, 5.0), (1, 5), (5, 5), (60, 60), (300, 300), (86_400, 300), (1e10, 300)])
  func `it is looked at again as its records say, and not too soon or too late`(
    seconds: Double, expected: Double
  ) {
    var record = NameRecord()
    take(&record, .addresses(addresses(1), seconds: seconds), at: 1000)
    #expect(record.validUntil == 1000 + expected)
    #expect((max(5, expected * 0.9)...expected).contains(record.nextLook - 1000))
  }

  @Test func `an address that is in no answer any more is kept for a while, and not told`() {
    var record = NameRecord()
    take(&record, .addresses(addresses(1, 2), seconds: 10), at: 0)
    take(&record, .addresses(addresses(2, 3), seconds: 10), at: 10)
    #expect(record.open(at: 109, limits) == addresses(2, 3, 1))
    #expect(record.listed(at: 109, limits) == addresses(2, 3))
    #expect(record.nextExpiry(limits) == 110)
    record.expire(at: 110, limits)
    #expect(record.open(at: 110, limits) == addresses(2, 3))
    take(&record, .addresses(addresses(1), seconds: 10), at: 120)
    take(&record, .addresses(addresses(2), seconds: 10), at: 130)
    take(&record, .addresses(addresses(1), seconds: 10), at: 140)
    #expect(Set(record.former.keys) == Set(addresses(2, 3)), "1 is back")
  }

  @Test func `what holds no more is not open, also before anybody has tidied up`() {
    var record = NameRecord()
    take(&record, .addresses(addresses(1), seconds: 10), at: 0)
    take(&record, .addresses(addresses(2), seconds: 10), at: 0)
    #expect(record.open(at: 99, limits) == addresses(2, 1))
    #expect(record.open(at: 100, limits) == addresses(2))
    #expect(record.open(at: 1010, limits).isEmpty)
  }

  @Test func `a resolver that fails leaves what was known for a while, and then nothing`() {
    var record = NameRecord()
    take(&record, .addresses(addresses(1), seconds: 10), at: 0)
    var now = 10.0
    var delays: [Double] = []
    while now < 1009 {
      take(&record, .failure("no answer"), at: now)
      #expect(record.open(at: now, limits) == addresses(1) && record.problem == "no answer")
      delays.append(record.nextLook - now)
      now = record.nextLook
    }
    #expect(delays.first.map { $0 <= 5 } == true && delays.allSatisfy { (4.5...60).contains($0) })
    #expect(record.nextExpiry(limits) == 1010)
    take(&record, .failure("no answer"), at: 1010)
    #expect(record.open(at: 1010, limits).isEmpty && record.isClosed)
    take(&record, .addresses(addresses(1), seconds: 10), at: 1020)
    #expect(record.open(at: 1020, limits) == addresses(1) && record.problem == nil)
  }

  @Test func `an answer that there is no address closes the name after a while`() {
    var record = NameRecord()
    take(&record, .addresses(addresses(1), seconds: 10), at: 0)
    take(&record, .none("gone"), at: 10)
    #expect(record.open(at: 109, limits) == addresses(1))
    #expect(record.listed(at: 109, limits) == addresses(1), "programs find it as long")
    #expect(record.open(at: 110, limits).isEmpty)
    record.expire(at: 110, limits)
    #expect(record.isClosed && record.problem == "gone")
  }

  @Test func `what is refused is not open, also where it was before`() {
    var record = NameRecord()
    take(&record, .addresses(addresses(1, 2), seconds: 10), at: 0)
    take(&record, .addresses(addresses(1, 3), seconds: 10), at: 10, refusing: addresses(1, 2))
    #expect(record.open(at: 10, limits) == addresses(3))
    #expect(Set(record.refused.keys) == Set(addresses(1)))
    take(&record, .addresses(addresses(1), seconds: 10), at: 20, refusing: addresses(1))
    #expect(record.problem == "every address that it has is refused")
  }

  @Test func `an answer with very many addresses opens some of them, and many answers not more`() {
    var record = NameRecord()
    let many = (0..<100).map { IPv4Address(0x0a00_0000 + UInt32($0)) }
    take(&record, .addresses(many + many, seconds: 10), at: 0)
    #expect(record.addresses == Array(many.prefix(NameLimits.mostAddresses)))
    #expect(record.surplus == many.count - NameLimits.mostAddresses)
    for round in 1..<50 {
      let other = many.map { IPv4Address($0.rawValue + UInt32(round) << 8) }
      take(&record, .addresses(other, seconds: 1), at: Double(round))
      #expect(record.open(at: Double(round), limits).count <= 256)
    }
    #expect(record.open(at: 50, limits).count == 256)
    let refused = (0..<100).map { IPv4Address(0x7f00_0000 + UInt32($0)) }
    take(&record, .addresses(refused, seconds: 1), at: 60, refusing: refused)
    #expect(record.refused.count == NameLimits.mostAddresses)
  }

  @Test func `an address that is in use is kept longer, and no other`() {
    var record = NameRecord()
    take(&record, .addresses(addresses(1, 2), seconds: 10), at: 0)
    take(&record, .addresses(addresses(3), seconds: 10), at: 10)
    record.keep(addresses(1)[0], until: 200)
    record.keep(addresses(2)[0], until: 50)
    record.keep(addresses(3)[0], until: 500)
    record.expire(at: 110, limits)
    #expect(record.former == [addresses(1)[0]: 200])
  }

  @Test func `the next process goes on with what this one knew`() throws {
    var record = NameRecord()
    take(&record, .addresses(addresses(1), seconds: 10), at: 0)
    take(&record, .addresses(addresses(2), seconds: 10), at: 10)
    let name = try HostName("api.example.com")
    let saved = record.saved(name, of: ["shop/app"])
    let next = try #require(NameRecord(saved))
    #expect(next.open(at: 20, limits) == record.open(at: 20, limits))
    #expect(next.open(at: 110, limits) == addresses(2))
    #expect(next.open(at: 1020, limits).isEmpty && !next.isLookedUp)
    var damaged = saved
    damaged.addresses.append("300.1.2.3")
    #expect(NameRecord(damaged) == nil)
  }
}
