import CDataplaneABI
import CLibbpf
import Foundation
import LinuxSystem
import Model
import Testing

@testable import Dataplane

/// The fabric's switch, by BPF_PROG_TEST_RUN over frames.
@Suite("The fabric's switch")
struct SwitchTests {
  /// What tc does with a frame: values of linux/pkt_cls.h.
  enum Action: UInt32 {
    /// TC_ACT_OK: to the fabric's own stack.
    case stack = 0
    /// TC_ACT_SHOT.
    case drop = 2
    /// TC_ACT_REDIRECT: into another instance.
    case redirect = 7
  }

  private let laboratory: DataplaneLaboratory
  /// A test run's device is lo, so that is the link of the sender, 198.18.1.2.
  private let sender: ist_identity

  init() throws {
    laboratory = try DataplaneLaboratory()
    // Every socket is inside the topmost cgroup, that of a test run too.
    sender = ist_identity(
      cgroup_id: try CgroupHierarchy.find().root.id(), deployment: 1, address: 0xc612_0102,
      ifindex: 1, listeners: 0, netns_cookie: 0, netns_id: 0, reserved: 0)
    try laboratory.maps.fabricLinks.set(sender, at: 1)
    let db = Identity(deployment: 1, address: .init(0xc612_0202))
    try laboratory.maps.fabricLinks.set(db.abi(cgroup: 0), at: UInt32(db.ifindex))
    let stranger = Identity(deployment: 2, address: .init(0xc612_0302))
    try laboratory.maps.fabricLinks.set(stranger.abi(cgroup: 0), at: UInt32(stranger.ifindex))
  }

  /// Runs the switch over a frame; what it did, and the reasons that it counted.
  private func pass(_ frame: [UInt8]) throws -> (action: Action?, reasons: [UInt32]) {
    var skb = __sk_buff()
    skb.ifindex = 1
    var options = bpf_test_run_opts()
    options.sz = optionsSize(through: \bpf_test_run_opts.retval)
    let program = try laboratory.object.program("ist_switch")
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
    return (Action(rawValue: options.retval), try laboratory.maps.denials.keys().map(\.reason))
  }

  @Test("A frame to an instance of this runner and deployment goes straight into it")
  func local() throws {
    let outcome = try pass(Frame().bytes)
    #expect(outcome.action == .redirect)
    #expect(outcome.reasons.isEmpty)
  }

  @Test("Any other address of the range goes to the fabric's stack, which answers")
  func notLocal() throws {
    for destination: [UInt8] in [[198, 18, 2, 1], [198, 18, 2, 3], [198, 19, 254, 254]] {
      var frame = Frame()
      frame.destination = destination
      #expect(try pass(frame.bytes).action == .stack)
    }
  }

  @Test("An instance of another deployment is not there, even at an address that is")
  func otherDeployment() throws {
    var frame = Frame()
    frame.destination = [198, 18, 3, 2]
    #expect(try pass(frame.bytes).action == .stack)
  }

  @Test(
    "What an egress rule of the sender's service allows goes to the stack, whatever instance has such an offset"
  )
  func outside() throws {
    // 203.0.2.2 is as far from the beginning of its /15 as 198.18.2.2, an instance of this runner.
    for destination: [UInt8] in [[203, 0, 2, 2], [203, 0, 113, 9]] {
      var frame = Frame()
      frame.destination = destination
      #expect(try pass(frame.bytes).action == .drop)
      for (rule, service, action): (String, ServiceNumber, Action) in [
        ("203.0.0.0/16:5432", 2, .drop), ("203.0.0.0/16:5433", 1, .drop),
        ("203.0.0.0/16:5432", 1, .stack),
      ] {
        let allowed = try #require(EgressRule(rule).allowedNetwork)
        let key = ist_egress_key(allowed, service: service, deployment: 1)
        try laboratory.maps.egress.set(0, at: key)
        #expect(try pass(frame.bytes).action == action, "\(rule) of \(service)")
        try laboratory.maps.egress.remove(key)
      }
    }
  }

  @Test("A rule for everything lets no frame to loopback pass, nor one of another's address")
  func everything() throws {
    let allowed = try #require(EgressRule("0.0.0.0/0:*").allowedNetwork)
    try laboratory.maps.egress.set(0, at: ist_egress_key(allowed, service: 1, deployment: 1))
    for destination: [UInt8] in [
      [127, 0, 0, 1], [0, 0, 0, 0], [198, 18, 1, 2], [198, 18, 0, 1],
    ] {
      var frame = Frame()
      frame.destination = destination
      #expect(try pass(frame.bytes).action == .drop, "\(destination)")
    }
    var frame = Frame()
    frame.destination = [203, 0, 113, 9]
    #expect(try pass(frame.bytes).action == .stack)
    frame.source = [198, 18, 1, 3]
    #expect(try pass(frame.bytes).action == .drop)
    frame.source = [198, 18, 1, 2]
    frame.networkProtocol = 17
    #expect(try pass(frame.bytes).action == .drop)
  }

  @Test("Everything else is dropped, and counted with its reason", arguments: Frame.bad)
  func dropped(name: String, frame: Frame, reason: ist_reason) throws {
    let outcome = try pass(frame.bytes)
    #expect(outcome.action == .drop, "\(name)")
    #expect(outcome.reasons == [reason.rawValue], "\(name)")
  }

  @Test("A frame that is cut anywhere in its headers is dropped")
  func truncated() throws {
    let frame = Frame().bytes
    // Recent kernels take no test frame of this type that is shorter than an IP header.
    for length in 34..<54 {
      #expect(try pass(Array(frame[..<length])).action == .drop, "\(length) bytes")
    }
  }

  @Test("A link that is no instance's gets nothing through")
  func unknownLink() throws {
    try laboratory.maps.fabricLinks.remove(1)
    let outcome = try pass(Frame().bytes)
    #expect(outcome.action == .drop)
    #expect(outcome.reasons == [IST_FRAME_UNKNOWN_LINK.rawValue])
  }
}
