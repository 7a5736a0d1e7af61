import CDataplaneABI
import CLibbpf
import Glibc
import Model
import Synchronization

/// A connection to another runner between SYN and accept.
public struct Flow: Hashable, Sendable {
  /// The deployment's id on this runner.
  public let deployment: UInt16
  /// Who connects: an instance address.
  public let source: IPv4Address
  /// Where to: an instance address, or a service address that no program rewrote.
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

extension Dataplane {
  /// The port of the gateway's address on which the relay listens in every fabric.
  public static var relayPort: UInt16 { UInt16(IST_RELAY_PORT) }

  /// The number of a fabric's replay link: the place of the gateway's address, as an instance's link
  /// has that of its own.
  public static func replayIfindex(deployment: UInt16, plan: AddressPlan) -> Int32 {
    Identity(deployment: deployment, address: plan.gateway).ifindex
  }

  /// The flow's SYN, played again, goes to the relay.
  public func accept(_ flow: Flow) throws(DataplaneError) {
    try maps.flows.set(UInt32(IST_FLOW_ACCEPTED.rawValue), at: flow.abi)
  }

  /// The flow's SYN, played again, goes to the stack, which refuses it; and the next one is held anew.
  public func forget(_ flow: Flow) throws(DataplaneError) {
    try maps.flows.remove(flow.abi)
  }

  /// Forgets what a daemon that died had not decided, so that it is held and decided anew.
  public func forgetFlows() throws(DataplaneError) {
    for flow in try maps.flows.keys() { try maps.flows.remove(flow) }
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
