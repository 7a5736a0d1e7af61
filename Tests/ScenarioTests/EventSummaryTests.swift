import CDataplaneABI
import Model
import Testing

@testable import Dataplane
@testable import Runner

@Suite("What happened, in summary")
struct EventSummaryTests {
  private let plan = AddressPlan.standard

  /// An event of `instance` of the first deployment with another end, both by their offset in the range.
  private func event(
    _ kind: ist_event_kind, _ instance: UInt32 = 0x102, with peer: UInt32 = 0x202, port: UInt16 = 1,
    _ more: (inout ist_event) -> Void = { _ in }
  ) throws -> ObservedEvent {
    var record = ist_event()
    record.kind = kind.rawValue
    record.reason = IST_FOREIGN_ADDRESS.rawValue
    record.deployment = 1
    record.instance = plan.base.rawValue + instance
    record.peer = (0, 0, UInt32(0xffff).bigEndian, (plan.base.rawValue &+ peer).bigEndian)
    record.own_port = port
    more(&record)
    return .event(try #require(Event(record)))
  }

  @Test("Connections are counted by whom with whom; those outside are one")
  func pairs() throws {
    var summary = EventSummary(plan: plan, keeping: 10)
    #expect(summary.isEmpty)
    for port in 1...3 { summary.add(try event(IST_EVENT_OPENED, port: UInt16(port))) }
    summary.add(try event(IST_EVENT_OPENED) { $0.incoming = 1 })
    for outside: UInt32 in [0x100_0000, 0x200_0000] {
      summary.add(try event(IST_EVENT_OPENED, with: outside))
    }
    #expect(summary.pairs.count == 3 && summary.omitted == 0)
    let counts = summary.pairs.mapValues(\.opened)
    let app = Identity(deployment: 1, address: IPv4Address(plan.base.rawValue + 0x102))
    let db = IPv4Address(plan.base.rawValue + 0x202)
    #expect(counts[.init(instance: app, peer: db, isIncoming: false)] == 3)
    #expect(counts[.init(instance: app, peer: db, isIncoming: true)] == 1)
    #expect(counts[.init(instance: app, peer: nil, isIncoming: false)] == 2)
  }

  @Test("Of one that closes the bytes of its last second count, by its mean")
  func bytes() throws {
    var summary = EventSummary(plan: plan, keeping: 0)
    summary.add(
      try event(IST_EVENT_CLOSED) { ($0.sent, $0.received, $0.duration) = (7, 9, 20_000_000) })
    summary.add(
      try event(IST_EVENT_CLOSED) {
        ($0.sent, $0.received, $0.duration) = (4000, 2000, 4_000_000_000)
      })
    #expect(
      Array(summary.pairs.values) == [.init(opened: 0, closed: 2, sent: 1007, received: 509)])
    #expect(summary.connections.isEmpty)
  }

  @Test("It keeps the newest connections and all denials, in bounds, and counts what it leaves out")
  func bounds() throws {
    var summary = EventSummary(plan: plan, keeping: 40)
    for port in 1...1000 {
      summary.add(try event(IST_EVENT_OPENED, port: UInt16(port)))
      if port == 1 { summary.add(try event(IST_EVENT_DENIED, with: 0x100_0000)) }
    }
    #expect(summary.connections.map(\.port) == Array(961...1000))
    #expect(summary.pairs.values.map(\.opened) == [1000] && summary.denials.count == 1)
    for _ in 0..<EventSummary.maximumDenials { summary.add(try event(IST_EVENT_DENIED)) }
    #expect(summary.denials.count == EventSummary.maximumDenials && summary.omitted == 1)
    for instance in 0..<UInt32(EventSummary.maximumPairs) {
      summary.add(try event(IST_EVENT_OPENED, 0x1000 + instance))
    }
    #expect(summary.pairs.count == EventSummary.maximumPairs && summary.omitted == 2)
  }
}
