import CDataplaneABI
import Model
import Testing

@testable import Dataplane

@Suite("What BPF and Swift share")
struct SharedLayoutTests {
  @Test("Swift sees the sizes that the header asserts")
  func sizes() {
    #expect(MemoryLayout<ist_identity>.size == 40)
    #expect(MemoryLayout<ist_service_key>.size == 8)
    #expect(MemoryLayout<ist_service>.size == 200)
    #expect(MemoryLayout<ist_service>.offset(of: \.name) == 72)
    #expect(MemoryLayout<ist_deployment>.size == Int(IST_NAME_SIZE))
    #expect(MemoryLayout<ist_service_port>.size == 8)
    #expect(MemoryLayout<ist_listening>.size == 32)
    #expect(MemoryLayout<ist_listener_key>.size == 12)
    #expect(MemoryLayout<ist_listener>.size == 12)
    #expect(MemoryLayout<ist_denial_key>.size == 12)
    #expect(MemoryLayout<ist_event>.size == 104)
    #expect(MemoryLayout<ist_event_rate>.size == 32)
    #expect(MemoryLayout<ist_explanation>.size == 128)
  }

  @Test("Every reason of the header has its word, and each word is another")
  func reasons() {
    #expect(Reason.allCases.count == Int(IST_REASON_COUNT.rawValue) - 1)
    for (reason, constant) in [
      (Reason.unidentified, IST_UNIDENTIFIED), (.foreignAddress, IST_FOREIGN_ADDRESS),
      (.ipv6, IST_IPV6), (.udp, IST_UDP), (.socketType, IST_SOCKET_TYPE),
      (.noService, IST_NO_SERVICE), (.noInstance, IST_NO_INSTANCE),
      (.foreignPacket, IST_FOREIGN_PACKET), (.frameUnknownLink, IST_FRAME_UNKNOWN_LINK),
      (.frameNotIPv4, IST_FRAME_NOT_IPV4), (.frameVLAN, IST_FRAME_VLAN),
      (.frameMalformed, IST_FRAME_MALFORMED), (.frameNotTCP, IST_FRAME_NOT_TCP),
      (.frameFragment, IST_FRAME_FRAGMENT), (.frameSpoofed, IST_FRAME_SPOOFED),
      (.frameForeign, IST_FRAME_FOREIGN), (.frameReserved, IST_FRAME_RESERVED),
      (.socketOption, IST_SOCKET_OPTION), (.inbound, IST_INBOUND),
    ] { #expect(reason.rawValue == constant.rawValue) }
    #expect(Set(Reason.allCases.map(\.identifier)).count == Reason.allCases.count)
    #expect(Set(Reason.allCases.map(\.explanation)).count == Reason.allCases.count)
  }

  @Test("The plan of addresses is the one that addressing.h computes with")
  func plan() {
    #expect(AddressPlan.prefixLength == 32 - Int(IST_OFFSET_BITS))
    #expect(AddressPlan.instanceNumbers.lowerBound == InstanceNumber(IST_FIRST_INSTANCE))
    #expect(AddressPlan.instanceNumbers.upperBound == InstanceNumber(IST_LAST_INSTANCE))
    #expect(EgressRule.mostPerService == Int(IST_EGRESS_PER_SERVICE))
    #expect(Deployment.ids.upperBound.rawValue == UInt16(IST_LAST_DEPLOYMENT))
    #expect(AddressPlan.standard.base.rawValue == IST_STANDARD_RANGE)
    #expect(
      AddressPlan.standard.offset(of: AddressPlan.standard.gateway) == UInt32(IST_GATEWAY_OFFSET))
    #expect(AddressPlan.standard.offset(of: AddressPlan.standard.host) == UInt32(IST_HOST_OFFSET))
    let address = AddressPlan.standard.serviceAddress(7)
    #expect(address.rawValue & 0xff == UInt32(IST_SERVICE_OCTET))
  }

  @Test("The ifindex of a link names deployment and address, and is never lo's or negative")
  func ifindex() {
    let first = Identity(deployment: 1, address: AddressPlan.standard.instanceAddress(1, 2))
    #expect(first.ifindex == 1 << 17 | 1 << 8 | 2)
    let last = Identity(deployment: 16383, address: AddressPlan.standard.instanceAddress(510, 254))
    #expect(last.ifindex == 16383 << 17 | 510 << 8 | 254)
    #expect(last.ifindex > 0)
  }
}
