import CDataplaneABI
import Foundation
import Model
import Testing

@testable import Dataplane

/// The backstop's decision on a packet, run in the kernel without a socket.
@Suite("The decision of the backstop")
struct PacketDecisionTests {
  /// `struct packet_case` of decisions.bpf.c.
  struct Case: BitwiseCopyable {
    var identity = ist_identity(
      cgroup_id: 0, deployment: 1, address: 0xc612_0102, ifindex: 131330, listeners: 0,
      netns_cookie: 0, netns_id: 0, reserved: 0)
    var ifindex: UInt32
    var peer: UInt32
    var networkProtocol: UInt8
    var isIPv4: UInt8
    var padding: UInt16 = 0
    var reason: UInt32 = .max
    var morePadding: UInt32 = 0
  }

  private static let lo: UInt32 = 1
  private static let ist0: UInt32 = 131330
  private static let eth0: UInt32 = 2

  @Test(
    "Only TCP passes, on lo and, with addresses of the range, on ist0",
    arguments: [
      (lo, "127.0.0.1", IPPROTO_TCP, true, IST_ALLOWED),
      (lo, "0.0.0.0", IPPROTO_TCP, false, IST_ALLOWED),
      (lo, "127.0.0.1", IPPROTO_UDP, true, IST_UDP),
      (lo, "127.0.0.1", IPPROTO_ICMP, true, IST_FOREIGN_PACKET),
      (ist0, "198.18.2.2", IPPROTO_TCP, true, IST_ALLOWED),
      (ist0, "198.18.2.2", IPPROTO_UDP, true, IST_UDP),
      (ist0, "0.0.0.0", IPPROTO_TCP, false, IST_FOREIGN_PACKET),
      (ist0, "8.8.8.8", IPPROTO_TCP, true, IST_FOREIGN_PACKET),
      (eth0, "198.18.2.2", IPPROTO_TCP, true, IST_FOREIGN_PACKET),
      (eth0, "8.8.8.8", IPPROTO_TCP, true, IST_FOREIGN_PACKET),
      (eth0, "8.8.8.8", IPPROTO_UDP, true, IST_UDP),
      (eth0, "0.0.0.0", IPPROTO_ICMPV6, false, IST_FOREIGN_PACKET),
    ])
  func verdicts(
    ifindex: UInt32, peer: String, networkProtocol: Int, isIPv4: Bool, reason: ist_reason
  ) throws {
    let laboratory = try DataplaneLaboratory(base64: decisionsObjectBase64)
    let packet = Case(
      ifindex: ifindex, peer: try #require(IPv4Address(peer)).rawValue,
      networkProtocol: UInt8(networkProtocol), isIPv4: isIPv4 ? 1 : 0)
    #expect(try laboratory.run("test_packet", packet).reason == reason.rawValue)
    var unidentified = packet
    unidentified.identity.deployment = 0
    let denied = ifindex == Self.lo || networkProtocol != IPPROTO_TCP ? reason : IST_UNIDENTIFIED
    #expect(try laboratory.run("test_packet", unidentified).reason == denied.rawValue)
  }
}
