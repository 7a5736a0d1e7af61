import CDataplaneABI
import CLibbpf
import Glibc
import Synchronization

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
