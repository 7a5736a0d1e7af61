import ControlAPI
import Testing

@testable import WebInterface

@Suite("What a page is told of what happened")
struct HappeningsTests {
  private func connection(_ number: Int) -> Istbpf_Control_V1_Event {
    .with {
      $0.local.address = "198.18.1.2"
      $0.peer.address = "198.18.2.2"
      $0.local.port = UInt32(number)
      $0.opened = .init()
    }
  }

  private let denial = Istbpf_Control_V1_Event.with { $0.denied.reason = "foreign-address" }

  @Test("Of more than it has room for it says how many, and counts nothing twice")
  func bounds() {
    var happened = Happenings()
    let counted = Istbpf_Control_V1_ConnectionCount.with { ($0.opened, $0.closed) = (500, 400) }
    for _ in 0..<3 {
      happened.add(
        .with {
          $0.events = [denial] + (0..<99).map(connection)
          $0.connections = [counted]
          $0.omitted = 1
        })
    }
    #expect(happened.events.count == 200)
    #expect(happened.connections == [counted, counted, counted])
    // 2,700 connections of which 198 are shown, 3 that were omitted, and the third denial.
    #expect(happened.unseen == 2700 - 198 + 3 + 1)
  }

  @Test("An event that an older runner tells by itself is counted as one of a summary")
  func older() {
    var happened = Happenings()
    happened.add(.init(of: denial))
    happened.add(.init(of: connection(1)))
    var closed = connection(2)
    closed.incoming = true
    // Ten seconds at 100 and 200 bytes a second.
    closed.closed = .with { ($0.nanoseconds, $0.sent, $0.received) = (10_000_000_000, 1000, 2000) }
    happened.add(.init(of: closed))
    #expect(happened.events.count == 3 && happened.unseen == 0)
    let (opened, ended) = (happened.connections[0], happened.connections[1])
    #expect(opened.opened == 1 && opened.closed == 0 && !opened.incoming)
    #expect(opened.local.address == "198.18.1.2" && opened.peer.address == "198.18.2.2")
    #expect(ended.opened == 0 && ended.closed == 1 && ended.incoming)
    #expect(ended.sent == 100 && ended.received == 200 && ended.local.port == 0)
  }
}
