import CDataplaneABI
import CLibbpf
import Glibc
import Model
import Synchronization

/// A connection to another runner, or to outside through the relay, between SYN and accept.
public struct Flow: Hashable, Sendable {
  /// The deployment's id on this runner.
  public let deployment: UInt16
  /// Who connects: an instance address.
  public let source: IPv4Address
  /// Where to: an instance address, a service address that no program rewrote, or an address outside.
  public let destination: IPv4Address
  /// The ports, in host byte order.
  public let sourcePort, destinationPort: UInt16

  /// A flow from its parts.
  public init(
    deployment: UInt16, source: IPv4Address, destination: IPv4Address, sourcePort: UInt16,
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
      deployment: UInt16(truncatingIfNeeded: value.deployment), source: IPv4Address(value.source),
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

/// The SYNs that the switches hold, to be read by one thread at a time.
public final class HeldConnects: Sendable {
  /// What is done with a held SYN: its flow, and its frame from the Ethernet header on.
  public typealias Handler = @Sendable (Flow, [UInt8]) -> Void

  /// Becomes readable when there are some, unless they are polled.
  public let descriptor: Int32
  private let handler: Handler
  /// Unsafe only in name: set in `init`, and used by one thread at a time, the one that has `isReading`.
  private nonisolated(unsafe) var buffer: OpaquePointer?
  private let isReading = Mutex(())
  private let polled: SharedFlag

  /// Opens the ring buffer; `drain` hands the SYNs to `handler`, one after the other.
  public init(pinnedIn directory: String, _ handler: @escaping Handler) throws(DataplaneError) {
    self.handler = handler
    // Whatever a daemon that died had said, it polls no more.
    polled = try SharedFlag(pinnedAt: "\(directory)/held_polled")
    polled.set(false)
    descriptor = bpf_obj_get("\(directory)/held_syns")
    guard descriptor >= 0 else { throw .failed("open", "\(directory)/held_syns", descriptor) }
    buffer = ring_buffer__new(
      descriptor,
      { context, data, size in
        guard let context, let data, size >= MemoryLayout<ist_held_syn>.size else { return 0 }
        let held = Unmanaged<HeldConnects>.fromOpaque(context).takeUnretainedValue()
        let record = data.loadUnaligned(as: ist_held_syn.self)
        let frame = withUnsafeBytes(of: record.frame) { Array($0.prefix(Int(record.length))) }
        held.handler(Flow(record.flow), frame)
        return 0
      }, Unmanaged.passUnretained(self).toOpaque(), nil)
    guard buffer != nil else { throw .failed("read", "held_syns") }
  }

  deinit {
    polled.set(false)
    ring_buffer__free(buffer)
    close(descriptor)
  }

  /// Hands over all that are there.
  public func drain() {
    isReading.withLock { _ in _ = ring_buffer__consume(buffer) }
  }

  /// While it is so, `descriptor` tells of nothing, and `drain` is to be called again and again. Once
  /// more after the last, for what came before the switches knew.
  public func setPolled(_ isPolled: Bool) { polled.set(isPolled) }
}
