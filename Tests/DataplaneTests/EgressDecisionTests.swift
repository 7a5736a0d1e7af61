import CDataplaneABI
import Foundation
import Model
import Testing

@testable import Dataplane

/// What egress rules let through, run in the kernel without a socket: `bpf/tests/decisions.bpf.c`.
@Suite("The decision on egress")
struct EgressDecisionTests {
  /// `struct egress_case` of decisions.bpf.c.
  struct Case: BitwiseCopyable {
    var identity = ist_identity(
      cgroup_id: 0, deployment: 1, address: 0xc612_0102, ifindex: 131330, listeners: 0,
      netns_cookie: 0, netns_id: 0, reserved: 0)
    var ifindex: UInt32 = 2
    var peer: UInt32
    var networkProtocol = UInt8(IPPROTO_TCP)
    var isIPv4: UInt8 = 1
    var padding: UInt16 = 0
    var peerPort: UInt16 = 443
    var syn: UInt8 = 0
    var ack: UInt8 = 1
    var outgoing: UInt32 = 1
    var passes: UInt32 = .max
  }

  private let laboratory: DataplaneLaboratory

  init() throws {
    laboratory = try DataplaneLaboratory(base64: decisionsObjectBase64)
    try allow("203.0.113.0/24:443", "192.0.2.7:*", "192.0.2.0/24:8080")
    try allow("0.0.0.0/0:*", service: 2)
    try allow("10.0.0.0/8:*", deployment: 2)
  }

  private func allowed(_ rule: String) throws -> AllowedNetwork {
    try #require(try EgressRule(rule).allowedNetwork)
  }

  private func allow(
    _ rules: String..., service: ServiceNumber = 1, deployment: DeploymentID = 1
  ) throws {
    for rule in rules {
      let key = ist_egress_key(try allowed(rule), service: service, deployment: deployment)
      try laboratory.maps.egress.set(0, at: key)
    }
  }

  private func connect(_ address: String, _ port: UInt16, from own: UInt32 = 0xc612_0102) throws
    -> UInt32
  {
    var request = ConnectDecisionTests.Case(address: try #require(IPv4Address(address)).rawValue)
    request.port = port
    request.identity.address = own
    return try laboratory.run("test_connect", onPacket: request).reason
  }

  private func passes(_ peer: String, _ change: (inout Case) -> Void = { _ in }) throws -> Bool {
    var packet = Case(peer: try #require(IPv4Address(peer)).rawValue)
    change(&packet)
    return try laboratory.run("test_egress", onPacket: packet).passes != 0
  }

  @Test(
    "connect() is allowed to a rule's network and port, and the rule of another port beside it",
    arguments: [
      ("203.0.113.0", 443, true), ("203.0.113.255", 443, true), ("203.0.113.9", 80, false),
      ("203.0.114.0", 443, false), ("203.0.112.255", 443, false), ("192.0.2.7", 1, true),
      ("192.0.2.7", 8080, true), ("192.0.2.8", 8080, true), ("192.0.2.8", 443, false),
      ("10.0.0.1", 443, false), ("8.8.8.8", 443, false),
    ])
  func connects(address: String, port: UInt16, isAllowed: Bool) throws {
    let expected = isAllowed ? IST_ALLOWED : IST_FOREIGN_ADDRESS
    #expect(try connect(address, port) == expected.rawValue)
  }

  @Test("A rule is the service's own, and counts the connections that it let out")
  func owner() throws {
    let neighbour: UInt32 = 0xc612_0302
    #expect(try connect("203.0.113.9", 443, from: neighbour) == IST_FOREIGN_ADDRESS.rawValue)
    for _ in 1...3 { _ = try connect("203.0.113.9", 443) }
    let key = ist_egress_key(try allowed("203.0.113.0/24:443"), service: 1, deployment: 1)
    #expect(try laboratory.maps.egress.value(at: key) == 3)
  }

  @Test("A rule for every address opens nothing of the range and nothing without TCP")
  func everything() throws {
    let own: UInt32 = 0xc612_0202
    #expect(try connect("8.8.8.8", 1, from: own) == IST_ALLOWED.rawValue)
    #expect(try connect("198.18.9.1", 1, from: own) == IST_NO_SERVICE.rawValue)
    #expect(try connect("198.18.0.1", 1, from: own) == IST_NO_SERVICE.rawValue)
    func passes(_ peer: String, _ change: (inout Case) -> Void = { _ in }) throws -> Bool {
      try self.passes(peer) {
        $0.identity.address = own
        $0.identity.ifindex = 131586
        change(&$0)
      }
    }
    #expect(try passes("8.8.8.8"))
    for peer in ["198.18.3.2", "198.19.255.255", "127.0.0.1", "0.0.0.0"] {
      #expect(try !passes(peer), "\(peer)")
    }
    #expect(try passes("8.8.8.8") { $0.ifindex = 131586 }, "ist0, to the relay")
    for peer in ["198.18.3.2", "127.0.0.1"] {
      #expect(try !passes(peer) { $0.ifindex = 131586 }, "ist0, \(peer)")
    }
    #expect(try !passes("8.8.8.8") { $0.isIPv4 = 0 })
  }

  @Test("Both ways pass, but only the instance opens")
  func directions() throws {
    let (outward, inward): (UInt32, UInt32) = (1, 0)
    for (direction, syn, ack, isAllowed) in [
      (outward, true, false, true), (inward, true, true, true), (outward, false, true, true),
      (inward, false, true, true), (inward, false, false, true),
      (inward, true, false, false), (outward, true, true, false),
    ] {
      let passes = try passes("203.0.113.9") {
        $0.outgoing = direction
        $0.syn = syn ? 1 : 0
        $0.ack = ack ? 1 : 0
      }
      #expect(passes == isAllowed, "outgoing \(direction), SYN \(syn), ACK \(ack)")
    }
    for direction in [outward, inward] {
      #expect(try !passes("203.0.113.9") { ($0.peerPort, $0.outgoing) = (80, direction) })
      #expect(try !passes("203.0.114.9") { $0.outgoing = direction })
    }
  }
}
