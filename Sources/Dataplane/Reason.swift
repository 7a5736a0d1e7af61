import CDataplaneABI

/// Why the data path denied something: `enum ist_reason` in words.
public enum Reason: UInt32, CaseIterable, Sendable {
  case unidentified = 1
  case foreignAddress
  case ipv6
  case udp
  case socketType
  case noService
  case noInstance
  case foreignPacket
  case frameUnknownLink
  case frameNotIPv4
  case frameVLAN
  case frameMalformed
  case frameNotTCP
  case frameFragment
  case frameSpoofed
  case frameForeign
  case frameReserved
  case socketOption
  case inbound
  case strangersSocket
  case egressRefused

  /// A stable word for JSON and metrics.
  public var identifier: String {
    switch self {
    case .unidentified: "unidentified"
    case .foreignAddress: "foreign-address"
    case .ipv6: "ipv6"
    case .udp: "udp"
    case .socketType: "socket-type"
    case .noService: "no-service"
    case .noInstance: "no-instance"
    case .foreignPacket: "foreign-packet"
    case .frameUnknownLink: "frame-unknown-link"
    case .frameNotIPv4: "frame-not-ipv4"
    case .frameVLAN: "frame-vlan"
    case .frameMalformed: "frame-malformed"
    case .frameNotTCP: "frame-not-tcp"
    case .frameFragment: "frame-fragment"
    case .frameSpoofed: "frame-spoofed"
    case .frameForeign: "frame-foreign"
    case .frameReserved: "frame-reserved"
    case .socketOption: "socket-option"
    case .inbound: "inbound"
    case .strangersSocket: "strangers-socket"
    case .egressRefused: "egress-refused"
    }
  }

  /// The reason with this identifier; nil where there is none.
  public init?(identifier: String) {
    guard let reason = Self.allCases.first(where: { $0.identifier == identifier }) else {
      return nil
    }
    self = reason
  }

  /// What it means, for a person.
  public var explanation: String {
    switch self {
    case .unidentified: "the cgroup is no instance's, yet or any more"
    case .foreignAddress: "TCP to an address outside the deployment"
    case .ipv6: "IPv6 other than ::1"
    case .udp: "UDP, which IST does not have"
    case .socketType: "a socket that is not TCP"
    case .noService: "no declared service has the address"
    case .noInstance: "no instance of the service could answer"
    case .foreignPacket: "a packet on another interface than ist0 and lo"
    case .frameUnknownLink: "a frame on a link that is no instance's"
    case .frameNotIPv4: "a frame that is not IPv4"
    case .frameVLAN: "a frame with a VLAN tag"
    case .frameMalformed: "a frame that is truncated or has IP options"
    case .frameNotTCP: "a frame that is not TCP"
    case .frameFragment: "a fragment"
    case .frameSpoofed: "a frame whose source is not the instance address"
    case .frameForeign: "a frame to an address outside the deployment that no egress rule allows"
    case .frameReserved: "a frame to the fabric's own block"
    case .socketOption: "a socket option that leads packets past the routes"
    case .inbound: "from outside, over another interface than ist0 and lo: nobody is let in there"
    case .strangersSocket: "a socket in its network namespace that is not the instance's"
    case .egressRefused:
      "an address to which istbpfd connects for nobody, whatever the egress rules say"
    }
  }
}
