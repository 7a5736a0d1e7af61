import CDataplaneABI
import Foundation

/// An Ethernet frame with IPv4 and TCP, to be spoiled field by field. Fields are as on the wire.
struct Frame: Sendable {
  var etherType: [UInt8] = [0x08, 0x00]
  var versionAndLength: UInt8 = 0x45
  var flagsAndOffset: [UInt8] = [0x40, 0x00]  // do not fragment
  var networkProtocol = UInt8(IPPROTO_TCP)
  var source: [UInt8] = [198, 18, 1, 2]
  var destination: [UInt8] = [198, 18, 2, 2]

  /// A SYN from port 40000 to port 5432.
  var bytes: [UInt8] {
    let ethernet: [UInt8] =
      [0x02, 0x69, 0x73, 0x74, 0x00, 0x01, 0x02, 0x69, 198, 18, 1, 2] + etherType
    let ip: [UInt8] =
      [versionAndLength, 0, 0, 40, 0, 1] + flagsAndOffset + [64, networkProtocol, 0, 0] + source
      + destination
    let tcp: [UInt8] = [
      0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0,
    ]
    return ethernet + ip + tcp
  }

  private func with(_ change: (inout Frame) -> Void) -> Frame {
    var frame = self
    change(&frame)
    return frame
  }

  /// Frames that must not pass, and the reason that each is dropped for.
  static let bad: [(String, Frame, ist_reason)] = {
    let good = Frame()
    let etherTypes: [(String, [UInt8])] = [
      ("ARP", [0x08, 0x06]), ("IPv6", [0x86, 0xdd]), ("802.1Q", [0x81, 0x00]),
      ("802.1ad", [0x88, 0xa8]), ("PPPoE", [0x88, 0x64]), ("MPLS", [0x88, 0x47]),
      ("an 802.3 length", [0x00, 0x40]), ("LLDP", [0x88, 0xcc]),
    ]
    let protocols: [(String, Int)] = [
      ("ICMP", IPPROTO_ICMP), ("UDP", IPPROTO_UDP), ("SCTP", IPPROTO_SCTP), ("GRE", IPPROTO_GRE),
      ("IP in IP", IPPROTO_IPIP), ("ESP", IPPROTO_ESP), ("UDP-Lite", IPPROTO_UDPLITE),
      ("DCCP", IPPROTO_DCCP), ("IGMP", IPPROTO_IGMP), ("protocol 255", 255),
    ]
    return etherTypes.map { name, type in
      (name, good.with { $0.etherType = type }, IST_FRAME_NOT_IPV4)
    }
      + protocols.map { name, number in
        (name, good.with { $0.networkProtocol = UInt8(number) }, IST_FRAME_NOT_TCP)
      } + [
        ("IP version 6", good.with { $0.versionAndLength = 0x65 }, IST_FRAME_MALFORMED),
        ("a short IP header", good.with { $0.versionAndLength = 0x44 }, IST_FRAME_MALFORMED),
        ("IP options", good.with { $0.versionAndLength = 0x46 }, IST_FRAME_MALFORMED),
        ("a first fragment", good.with { $0.flagsAndOffset = [0x20, 0] }, IST_FRAME_FRAGMENT),
        ("a later fragment", good.with { $0.flagsAndOffset = [0x00, 5] }, IST_FRAME_FRAGMENT),
        ("another's source", good.with { $0.source = [198, 18, 1, 3] }, IST_FRAME_SPOOFED),
        ("the service's source", good.with { $0.source = [198, 18, 1, 1] }, IST_FRAME_SPOOFED),
        ("the gateway's source", good.with { $0.source = [198, 18, 0, 1] }, IST_FRAME_SPOOFED),
        ("the host's source", good.with { $0.source = [198, 18, 0, 2] }, IST_FRAME_SPOOFED),
        ("a source of loopback", good.with { $0.source = [127, 0, 0, 1] }, IST_FRAME_SPOOFED),
        ("a foreign destination", good.with { $0.destination = [8, 8, 8, 8] }, IST_FRAME_FOREIGN),
        ("loopback", good.with { $0.destination = [127, 0, 0, 1] }, IST_FRAME_FOREIGN),
        ("multicast", good.with { $0.destination = [224, 0, 0, 1] }, IST_FRAME_FOREIGN),
        ("broadcast", good.with { $0.destination = [255, 255, 255, 255] }, IST_FRAME_FOREIGN),
        ("the link's gateway", good.with { $0.destination = [169, 254, 1, 1] }, IST_FRAME_FOREIGN),
        ("itself", good.with { $0.destination = [198, 18, 1, 2] }, IST_FRAME_FOREIGN),
        ("the fabric", good.with { $0.destination = [198, 18, 0, 1] }, IST_FRAME_RESERVED),
        ("the host", good.with { $0.destination = [198, 18, 0, 2] }, IST_FRAME_RESERVED),
        ("the fabric's block", good.with { $0.destination = [198, 18, 0, 9] }, IST_FRAME_RESERVED),
      ]
  }()
}
