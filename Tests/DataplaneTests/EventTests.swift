import CDataplaneABI
import CLibbpf
import Foundation
import Model
import Synchronization
import TestSupport
import Testing

@testable import Dataplane

@Suite("What the data path tells")
struct EventTests {
  /// `struct token_case` of decisions.bpf.c.
  private struct TokenCase: BitwiseCopyable {
    var due: UInt64 = 0
    var now: UInt64
    var interval: UInt64 = 100
    var burst: UInt64 = 5
    var taken: UInt32 = .max
    var reserved: UInt32 = 0
  }

  @Test(
    "A burst is told at once, then one for each interval, and a pause saves up no more than a burst"
  )
  func tokens() throws {
    let laboratory = try DataplaneLaboratory(base64: decisionsObjectBase64)
    var due: UInt64 = 0
    func taken(at times: some Sequence<UInt64>) throws -> Int {
      var count = 0
      for now in times {
        let outcome = try laboratory.run("test_take_token", TokenCase(due: due, now: now))
        due = outcome.due
        count += Int(outcome.taken)
      }
      return count
    }
    #expect(try taken(at: repeatElement(1000, count: 50)) == 5)
    #expect(try taken(at: 1001...2000) == 10, "one each 100")
    #expect(try taken(at: repeatElement(1_000_000, count: 50)) == 5)
    #expect(try taken(at: [1_000_050, 1_000_101, 1_000_102]) == 1)
  }

  private final class Heard: Sendable {
    let told = Mutex<[ObservedEvent]>([])
    var events: [Event] {
      told.withLock { $0.compactMap { if case .event(let event) = $0 { event } else { nil } } }
    }
    var untold: UInt64 {
      told.withLock {
        $0.reduce(0) { if case .untold(_, let denials, _) = $1 { $0 + denials } else { $0 } }
      }
    }
  }

  @Test("A dropped frame is told with where it was going, and too many are counted instead")
  func droppedFrames() throws {
    let laboratory = try DataplaneLaboratory()
    // A test run's device is lo, so that is the link of the sender.
    let sender = ist_identity(
      cgroup_id: 0, deployment: 3, address: 0xc612_0102, ifindex: 1, listeners: 0,
      netns_cookie: 0, netns_id: 0, reserved: 0)
    try laboratory.maps.fabricLinks.set(sender, at: 1)
    try laboratory.maps.layout.set(AddressPlan.standard.base.rawValue, at: LayoutKey.range)
    let heard = Heard()
    let reader = try EventReader(pinnedIn: laboratory.directory) { told in
      heard.told.withLock { $0.append(told) }
    }
    defer { reader.stop() }
    var frame = Frame()
    frame.destination = [8, 8, 8, 8]
    let sent = 1000
    try laboratory.pass(frame.bytes, times: sent)

    let deadline = ContinuousClock.now + .seconds(10)
    while heard.events.count + Int(heard.untold) < sent, .now < deadline { usleep(10_000) }
    #expect(heard.events.count + Int(heard.untold) == sent)
    #expect(heard.events.count >= Int(IST_DENIALS_BURST))
    #expect(heard.events.count < sent / 2, "the rate holds")
    let event = try #require(heard.events.first)
    guard case .denied(.frameForeign) = event.kind else {
      Issue.record("\(event)")
      return
    }
    #expect(event.instance == Identity(deployment: 3, address: IPv4Address(0xc612_0102)))
    #expect(event.peer.text == "8.8.8.8" && event.peer.port == 5432 && event.port == 40000)
    #expect(event.networkProtocol == UInt32(IPPROTO_TCP) && !event.isIncoming)
    #expect(abs(Date(timeIntervalSince1970: Double(event.time) / 1e9).timeIntervalSinceNow) < 60)
    #expect(
      try laboratory.maps.denials.entries().map(\.value) == [UInt64(sent)], "all are counted")
  }
}

extension DataplaneLaboratory {
  /// Runs the switch over a frame so many times.
  fileprivate func pass(_ frame: [UInt8], times: Int) throws {
    var skb = __sk_buff()
    skb.ifindex = 1
    var options = bpf_test_run_opts()
    options.sz = optionsSize(through: \bpf_test_run_opts.`repeat`)
    options.`repeat` = Int32(times)
    let program = try object.program("ist_switch")
    let result = frame.withUnsafeBytes { data in
      withUnsafeBytes(of: &skb) { context in
        options.data_in = data.baseAddress
        options.data_size_in = UInt32(data.count)
        options.ctx_in = context.baseAddress
        options.ctx_size_in = UInt32(context.count)
        return bpf_prog_test_run_opts(program, &options)
      }
    }
    try #require(result == 0, "the test run failed: \(result)")
  }
}
