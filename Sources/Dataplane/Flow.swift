import CDataplaneABI
import Model

/// A connection to another runner, or to outside through the relay, between SYN and accept.
public struct Flow: Hashable, Sendable {
  /// The deployment's id on this runner.
  public let deployment: DeploymentID
  /// Who connects: an instance address.
  public let source: IPv4Address
  /// Where to: an instance address, a service address that no program rewrote, or an address outside.
  public let destination: IPv4Address
  /// The ports, in host byte order.
  public let sourcePort, destinationPort: UInt16

  /// A flow from its parts.
  public init(
    deployment: DeploymentID, source: IPv4Address, destination: IPv4Address, sourcePort: UInt16,
    destinationPort: UInt16
  ) {
    self.deployment = deployment
    self.source = source
    self.destination = destination
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
  }

  init(_ value: ist_flow) {
    self.init(
      deployment: DeploymentID(truncatingIfNeeded: value.deployment),
      source: IPv4Address(value.source),
      destination: IPv4Address(value.destination), sourcePort: value.source_port,
      destinationPort: value.destination_port)
  }

  var abi: ist_flow {
    ist_flow(
      deployment: UInt32(deployment), source: source.rawValue, destination: destination.rawValue,
      source_port: sourcePort, destination_port: destinationPort)
  }
}

/// What has become of a flow.
public enum FlowOutcome: String, Sendable {
  /// It is being decided.
  case pending
  /// The far service has accepted it.
  case accepted
  /// The same, but the caller has given up meanwhile.
  case abandoned

  init(_ state: ist_flow_state) {
    switch state.outcome {
    case UInt32(IST_FLOW_ACCEPTED.rawValue): self = .accepted
    case UInt32(IST_FLOW_ABANDONED.rawValue): self = .abandoned
    default: self = .pending
    }
  }
}

/// When a kernel sends a SYN again that is not answered.
enum RepeatedSYN {
  /// Whether the next one may be still to come. All times are in nanoseconds of one clock.
  ///
  /// The first comes after 1 s (TCP_TIMEOUT_INIT), and each pause is at most twice the one before, so that the next
  /// pause is at most as long as all before it and 1 s (RFC 6298 5.5; since Linux 6.5 the first four are 1 s each,
  /// tcp_syn_linear_timeouts). Two seconds are for a machine that is busy.
  static func isDue(first: UInt64, last: UInt64, now: UInt64) -> Bool {
    let second: UInt64 = 1_000_000_000
    let until = last + (max(last, first) - first) + 3 * second
    return now <= until
  }
}
