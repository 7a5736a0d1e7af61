import Model
import Testing

@testable import Fabric

@Suite("A held frame")
struct HeldFrameTests {
  /// A SYN from 198.18.1.2:40000 to 198.18.2.9:80 with a checksum over the pseudo header alone, as a
  /// veth hands it on.
  private static let partial: [UInt8] =
    [0x02, 0x69, 0x73, 0x74, 0, 1, 0x02, 0x69, 198, 18, 1, 2, 0x08, 0]
    + [0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 18, 1, 2, 198, 18, 2, 9]
    + [
      0x9c, 0x40, 0, 80, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0x60, 0x02, 0xff, 0xff, 0x8f, 0x5f, 0,
      0,
    ]
    + [2, 4, 0xff, 0xd7]

  @Test("Its completed checksum makes the segment and the pseudo header sum to nothing")
  func checksum() throws {
    var frame = try #require(HeldFrame(Self.partial))
    frame.completeChecksum()
    let pseudoHeader: [UInt8] = [198, 18, 1, 2, 198, 18, 2, 9, 0, 6, 0, 24]
    #expect(HeldFrame.checksum(pseudoHeader + frame.bytes[34...]) == 0)
    #expect(frame.bytes[..<50].elementsEqual(Self.partial[..<50]))
    let once = frame.bytes
    frame.completeChecksum()
    #expect(frame.bytes == once)
  }

  @Test("Its type of service is that of its IP header")
  func typeOfService() throws {
    var bytes = Self.partial
    #expect(HeldFrame(bytes)?.typeOfService == 0)
    bytes[15] = 0x28
    #expect(HeldFrame(bytes)?.typeOfService == 0x28)
  }

  @Test("The checksum of RFC 1071's example, and of an odd number of bytes")
  func examples() {
    #expect(HeldFrame.checksum([0, 1, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]) == ~0xddf2)
    #expect(HeldFrame.checksum([1]) == ~0x0100)
  }

  @Test("The answer that the host is unreachable goes back to the caller and names its SYN")
  func unreachable() throws {
    let frame = try #require(HeldFrame(Self.partial))
    let answer = frame.unreachable(.host, from: AddressPlan.standard.gateway)
    #expect(answer[0..<6].elementsEqual(Self.partial[6..<12]))
    #expect(answer[6..<12].elementsEqual(Self.partial[0..<6]))
    #expect(HeldFrame.checksum(answer[14..<34]) == 0)
    #expect(HeldFrame.checksum(answer[34...]) == 0)
    #expect(answer[26..<34].elementsEqual([198, 18, 0, 1, 198, 18, 1, 2]))
    #expect(answer[34..<36].elementsEqual([3, 1]))
    #expect(answer[42...].elementsEqual(Self.partial[14..<42]))
  }

  @Test("A frame that is too short for its headers is none")
  func short() {
    #expect(HeldFrame(Array(Self.partial[..<53])) == nil)
  }

  @Test(
    "Nor is one whose IP header says less than its headers, or more than there is",
    arguments: [0, 19, 39, 45, 65535])
  func untrue(length: UInt16) {
    var bytes = Self.partial
    (bytes[16], bytes[17]) = (UInt8(length >> 8), UInt8(length & 255))
    #expect(HeldFrame(bytes) == nil)
  }

  @Test("Padding behind the packet is no part of the segment")
  func padded() throws {
    var (frame, padded) = (
      try #require(HeldFrame(Self.partial)), try #require(HeldFrame(Self.partial + [9, 9]))
    )
    frame.completeChecksum()
    padded.completeChecksum()
    #expect(padded.bytes == frame.bytes + [9, 9])
  }
}
