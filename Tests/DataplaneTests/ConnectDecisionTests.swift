import CDataplaneABI
import Foundation
import Model
import Testing

@testable import Dataplane

/// The decision on connect(), run in the kernel without a socket: `bpf/tests/decisions.bpf.c`.
@Suite("The decision on connect()")
struct ConnectDecisionTests {
  /// `struct connect_case` of decisions.bpf.c.
  struct Case: BitwiseCopyable {
    var identity = ist_identity(
      cgroup_id: 0, deployment: 1, address: 0xc612_0102, ifindex: 0, listeners: 0,
      netns_cookie: 0, netns_id: 0, reserved: 0)
    var networkProtocol = UInt32(IPPROTO_TCP)
    var address: UInt32
    var port: UInt16 = 5432
    var padding: UInt16 = 0
    var reason: UInt32 = .max
    var error: UInt32 = .max
    var morePadding: UInt32 = 0
  }

  private let laboratory: DataplaneLaboratory

  init() throws {
    laboratory = try DataplaneLaboratory(base64: decisionsObjectBase64)
    try laboratory.declare(1, deployment: 1, local: [2])
    try laboratory.declare(2, deployment: 1, local: [2, 70, 254])
    try laboratory.declare(3, deployment: 1)
    try laboratory.declare(4, deployment: 1, remote: [9])
    try laboratory.declare(5, deployment: 2, local: [2])
  }

  private func decide(_ address: String, _ change: (inout Case) -> Void = { _ in }) throws -> Case {
    var request = Case(address: try #require(IPv4Address(address)).rawValue)
    change(&request)
    return try laboratory.run("test_connect", onPacket: request)
  }

  @Test(
    "Every address gets the verdict and the errno of the contract",
    arguments: [
      ("127.0.0.1", IST_ALLOWED, 0), ("127.255.0.9", IST_ALLOWED, 0), ("0.0.0.0", IST_ALLOWED, 0),
      ("198.18.2.1", IST_ALLOWED, 0), ("198.18.2.70", IST_ALLOWED, 0),
      ("198.18.4.1", IST_ALLOWED, 0), ("198.18.4.9", IST_ALLOWED, 0),
      ("198.18.3.1", IST_NO_INSTANCE, ECONNREFUSED), ("198.18.2.3", IST_NO_INSTANCE, ECONNREFUSED),
      ("198.18.5.1", IST_NO_SERVICE, EHOSTUNREACH), ("198.18.2.0", IST_NO_SERVICE, EHOSTUNREACH),
      ("198.18.2.255", IST_NO_SERVICE, EHOSTUNREACH),
      ("198.18.0.1", IST_NO_SERVICE, EHOSTUNREACH), ("198.18.0.0", IST_NO_SERVICE, EHOSTUNREACH),
      ("198.19.255.1", IST_NO_SERVICE, EHOSTUNREACH),
      ("198.17.255.255", IST_FOREIGN_ADDRESS, EPERM), ("198.20.0.0", IST_FOREIGN_ADDRESS, EPERM),
      ("8.8.8.8", IST_FOREIGN_ADDRESS, EPERM), ("255.255.255.255", IST_FOREIGN_ADDRESS, EPERM),
      ("169.254.1.1", IST_FOREIGN_ADDRESS, EPERM), ("224.0.0.1", IST_FOREIGN_ADDRESS, EPERM),
    ])
  func verdicts(address: String, reason: ist_reason, error: Int32) throws {
    let outcome = try decide(address)
    #expect(outcome.reason == reason.rawValue)
    #expect(outcome.error == UInt32(error))
  }

  @Test("A cgroup without an identity may connect to loopback, and nowhere else")
  func unidentified() throws {
    for address in ["198.18.2.1", "198.18.2.70", "198.18.9.1", "192.0.2.1"] {
      let outcome = try decide(address) { $0.identity.deployment = 0 }
      #expect(outcome.reason == IST_UNIDENTIFIED.rawValue, "\(address)")
      #expect(outcome.error == UInt32(EPERM))
    }
    let loopback = try decide("127.0.0.1") { $0.identity.deployment = 0 }
    #expect(loopback.reason == IST_ALLOWED.rawValue)
  }

  @Test("UDP is denied wherever it goes, and so is what is neither TCP nor MPTCP")
  func protocols() throws {
    for address in ["127.0.0.1", "198.18.2.1", "8.8.8.8"] {
      let udp = try decide(address) { $0.networkProtocol = UInt32(IPPROTO_UDP) }
      #expect(udp.reason == IST_UDP.rawValue)
    }
    #expect(try decide("198.18.2.1") { $0.networkProtocol = 262 }.reason == IST_ALLOWED.rawValue)
    let sctp = try decide("198.18.2.1") { $0.networkProtocol = 132 }
    #expect(sctp.reason == IST_SOCKET_TYPE.rawValue)
  }

  @Test("A service address becomes each of its local instances, and an instance address stays")
  func selection() throws {
    let chosen = try Set((0..<200).map { _ in try decide("198.18.2.1").address & 0xff })
    #expect(chosen == [2, 70, 254])
    #expect(try decide("198.18.2.70").address == 0xc612_0246)
    #expect(try decide("198.18.4.1").address == 0xc612_0401, "the daemon chooses among runners")
  }

  @Test("Other runners are asked where no local instance listens, and with spread as often as not")
  func otherRunners() throws {
    try laboratory.declare(6, deployment: 1, local: [2, 3], remote: [4, 5])
    try laboratory.declare(7, deployment: 1, local: [2, 3], remote: [4, 5], flags: IST_SPREAD)
    func chosen(_ address: String) throws -> [UInt32: Int] {
      try (0..<400).reduce(into: [:]) { counts, _ in
        counts[try decide(address).address & 0xff, default: 0] += 1
      }
    }
    #expect(try chosen("198.18.6.1") == [1: 400])
    #expect(try chosen("198.18.7.1") == [1: 400])
    var instances = ist_listening()
    instances.instances.0 = 1 << 2
    for service in [6, 7] as [UInt16] {
      try laboratory.maps.listening.set(
        instances, at: ist_service_port(deployment: 1, service: service, port: 5432))
    }
    #expect(try chosen("198.18.6.1") == [2: 400])
    // One of three: 133 are expected, and fewer than 70 or more than 200 come once in 10^9 times.
    let spread = try chosen("198.18.7.1")
    #expect(Set(spread.keys) == [1, 2] && (70...200).contains(spread[2] ?? 0), "\(spread)")
  }

  @Test("An instance that listens on the port is chosen before those that do not")
  func listening() throws {
    var instances = ist_listening()
    instances.instances.1 = 1 << 6  // instance 70
    let port = ist_service_port(deployment: 1, service: 2, port: 5432)
    try laboratory.maps.listening.set(instances, at: port)
    for _ in 0..<50 { #expect(try decide("198.18.2.1").address & 0xff == 70) }
    let elsewhere = try Set(
      (0..<200).map { _ in try decide("198.18.2.1") { $0.port = 5433 }.address & 0xff })
    #expect(elsewhere == [2, 70, 254])
  }

  @Test("The n-th bit that is set is found in every word and place")
  func nthBit() throws {
    struct BitCase: BitwiseCopyable {
      var word: UInt64
      var n: UInt32
      var place: UInt32 = .max
    }
    let words: [UInt64] = [1, 1 << 63, .max, 0xdead_beef_0bad_cafe, 1 << 63 | 1, 0x10_0000]
    for word in words {
      let places = (UInt32(0)..<64).filter { word >> UInt64($0) & 1 == 1 }
      for (n, place) in places.enumerated() {
        let outcome = try laboratory.run("test_nth_bit_set", BitCase(word: word, n: UInt32(n)))
        #expect(outcome.place == place, "bit \(n) of \(word)")
      }
    }
  }
}
