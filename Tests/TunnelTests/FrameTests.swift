import Glibc
import Model
import Testing
import Tunnel

@Suite("Frames and prefaces")
struct FrameTests {
  @Test(
    "A frame's header says it again",
    arguments: [
      Frame.data(1), .data(Frame.maximumNumber), .end, .reset(104), .reset(0), .move, .moveRequest,
      .preface(1024), .answer(7), .urgent(0), .urgent(255), .done,
    ])
  func headers(frame: Frame) {
    #expect(Frame(header: frame.header) == frame)
    #expect(frame.bytes.reduce(0) { $0 << 8 | UInt32($1) } == frame.header)
  }

  @Test(
    "A header of no frame is none",
    arguments: [
      0, 0x0100_0000, 0x0200_0001, 0x0400_0001, 0x0500_0001, 0x0800_0100, 0x0900_0001, 0x0a00_0000,
      0xffff_ffff,
    ]
      as [UInt32])
  func noFrames(header: UInt32) { #expect(Frame(header: header) == nil) }

  private func message(_ frame: [UInt8]) -> [UInt8] { Array(frame.dropFirst(Frame.headerSize)) }

  @Test("A preface and an answer come back as they were, and fit the limit at their longest")
  func prefaces() throws {
    let request = StreamRequest(
      deployment: try DeploymentName(String(repeating: "d", count: 63)),
      source: IPv4Address(0xc612_0102), destination: IPv4Address(0xc612_0203),
      port: try PortNumber(65535), sourcePort: try PortNumber(40_000), typeOfService: 0xfc)
    let anyPort = StreamRequest(
      deployment: try DeploymentName("shop"), source: IPv4Address(0xc612_0102),
      destination: IPv4Address(0xc612_0203), port: try PortNumber(1))
    let token = StreamToken(loop: 513)
    #expect(token.loop == 513)
    for preface in [
      StreamPreface.open(request), .open(anyPort), .resume(token, sending: true),
      .resume(token, sending: false),
    ] {
      let frame = try preface.frame()
      #expect(frame.count <= StreamPreface.maximumSize)
      let decoded = try StreamPreface(decoding: message(frame))
      #expect(decoded == preface)
    }
    for answer in [
      StreamAnswer(errno: 0, token: token), StreamAnswer(errno: ECONNREFUSED),
      StreamAnswer(errno: 0, token: token, knowsUrgent: false),
      StreamAnswer(errno: 0, token: token, saysDone: false),
    ] {
      let decoded = try StreamAnswer(decoding: message(answer.frame()))
      #expect(decoded == answer)
    }
  }

  @Test("What is no preface is refused with EPROTO, another version with EPROTONOSUPPORT")
  func faults() {
    func errno(_ bytes: [UInt8]) -> Int32? {
      do {
        _ = try StreamPreface(decoding: bytes)
        return nil
      } catch { return error.errno }
    }
    #expect(errno([0xff, 0xff]) == EPROTO)
    #expect(errno([]) == EPROTONOSUPPORT)
    #expect(errno([0x08, 2]) == EPROTONOSUPPORT)
    // Version 1 without a purpose; an empty open; a continuation of 1 byte.
    #expect(errno([0x08, 1]) == EPROTO)
    #expect(errno([0x08, 1, 0x12, 0]) == EPROTO)
    #expect(errno([0x08, 1, 0x1a, 3, 0x0a, 1, 7]) == EPROTO)
    // An open with a type of service of 256, which is none.
    let open: [UInt8] = [0x0a, 4] + Array("shop".utf8) + [0x20, 1, 0x40]
    #expect(errno([0x08, 1, 0x12, UInt8(open.count + 1)] + open + [7]) == nil)
    #expect(errno([0x08, 1, 0x12, UInt8(open.count + 2)] + open + [0x80, 2]) == EPROTO)
  }

  @Test("A key's limit is near at three quarters, and reached before a batch could pass it")
  func limits() {
    let limit = KeyUsageLimit(records: 100)
    #expect(!limit.isNear(74))
    #expect(limit.isNear(75))
    #expect(!limit.isReached(88))
    #expect(limit.isReached(89))
  }

  @Test("Idle tunnels: the last put is the first taken, and the oldest are let go")
  func idleTunnels() {
    final class Thing {}
    let things = (0..<4).map { _ in Thing() }
    var idle = IdleTunnels<Thing>()
    for (index, thing) in things.enumerated() { idle.put(thing, now: UInt64(index)) }
    #expect(idle.take() === things[3])
    #expect(idle.takeIdle(since: 4, keeping: 3).isEmpty)
    idle.remove(things[1])
    #expect(idle.takeIdle(since: 1).map(ObjectIdentifier.init) == [ObjectIdentifier(things[0])])
    #expect(idle.count == 1)
    #expect(idle.takeAll().first === things[2])
    #expect(idle.take() == nil)
    for (index, thing) in things.enumerated() { idle.put(thing, now: UInt64(index)) }
    #expect(idle.take(since: 4) { $0 === things[1] } === things[1])
    #expect(idle.take(since: 3) { _ in false } === things[3])
    #expect(idle.take(since: 3) { _ in false } == nil)
    #expect(idle.take(since: 3) { _ in true } === things[2])
  }
}
