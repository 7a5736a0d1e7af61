import CDataplaneABI
import CLibbpf
import Glibc
import LinuxSystem
import Model

/// The flows between SYN and accept, as istbpf-relay needs them: pinned maps alone, without the programs.
public final class FlowTable: Sendable {
  private let flows: BPFMap<ist_flow, ist_flow_state>
  private let denials: BPFMap<ist_denial_key, UInt64>

  /// Opens what is pinned in `directory`, once its layout is seen to be this version's.
  public init(pinnedIn directory: String) throws(DataplaneError) {
    try MapSet.checkLayout(in: directory)
    flows = try BPFMap("flows", pinnedIn: directory)
    denials = try BPFMap("denials", pinnedIn: directory)
  }

  /// What tells the maps that are pinned in `directory` from those that were there before or come after: the inode of
  /// a pin. Throws `SystemError` where nothing is pinned.
  public static func identity(ofPinsIn directory: String) throws -> UInt64 {
    var status = stat()
    guard stat("\(directory)/flows", &status) == 0 else {
      throw SystemError(.last, "look at", "\(directory)/flows")
    }
    return UInt64(status.st_ino)
  }

  /// The flow's SYN, played again, goes to the relay.
  public func accept(_ flow: Flow) throws(DataplaneError) {
    let state = ist_flow_state(
      outcome: UInt32(IST_FLOW_ACCEPTED.rawValue), reserved: 0, first_syn: 0, last_syn: 0)
    try flows.set(state, at: flow.abi)
  }

  /// What has become of the flow; nil where nothing is known of it any more.
  public func outcome(of flow: Flow) throws(DataplaneError) -> FlowOutcome? {
    try flows.value(at: flow.abi).map(FlowOutcome.init)
  }

  /// Whether the caller of a flow that is pending still waits for it, as its kernel shows by sending its SYN again.
  public func isAwaited(_ flow: Flow) throws(DataplaneError) -> Bool {
    guard let state = try flows.value(at: flow.abi), FlowOutcome(state) == .pending else {
      return false
    }
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    return RepeatedSYN.isDue(first: state.first_syn, last: state.last_syn, now: now)
  }

  /// The flow's SYN, played again, goes to the stack, which refuses it; and the next one is held anew.
  public func forget(_ flow: Flow) throws(DataplaneError) {
    try flows.remove(flow.abi)
  }

  /// Counts that the daemon denied a flow, as the programs count what they deny. No program denies anything for
  /// this reason.
  public func countDenial(of flow: Flow, _ reason: Reason, plan: AddressPlan) throws(DataplaneError)
  {
    let key = ist_denial_key(
      deployment: UInt32(flow.deployment),
      service: UInt32(plan.place(of: flow.source)?.service ?? 0), reason: reason.rawValue)
    try denials.set((denials.value(at: key) ?? 0) + 1, at: key)
  }

  /// All flows that are known.
  public func all() throws(DataplaneError) -> Set<Flow> { Set(try flows.keys().map(Flow.init)) }
}

extension Dataplane {
  /// The port of the gateway's address on which the relay listens in every fabric.
  public static var relayPort: UInt16 { UInt16(IST_RELAY_PORT) }

  /// The number of a fabric's replay link: the place of the gateway's address, as an instance's link
  /// has that of its own.
  public static func replayIfindex(deployment: DeploymentID, plan: AddressPlan) -> Int32 {
    Identity(deployment: deployment, address: plan.gateway).ifindex
  }
}
