import CDataplaneABI
import CLibbpf
import Foundation
import Glibc
import Model
import Synchronization

/// What the data path says to who observes.
public enum ObservedEvent: Sendable {
  /// Something happened.
  case event(Event)
  /// So many events of an instance were not told, because they were too many at once.
  case untold(Identity, denials: UInt64, connections: UInt64)
}

/// Reads the ring buffer of events, on a thread of its own. It must be read, observed or not: a full
/// buffer takes no more.
public final class EventReader: Sendable {
  /// What is done with what is told, one after the other; it must not block.
  public typealias Handler = @Sendable (ObservedEvent) -> Void

  private let state: PinnedState
  private let stopped = Atomic(false)
  private let handler: Handler

  /// Begins to hand what is told to `handler` until `stop`.
  public init(pinnedIn directory: String, _ handler: @escaping Handler) throws(DataplaneError) {
    self.handler = handler
    state = try PinnedState(directory: directory)
    let descriptor = bpf_obj_get("\(directory)/events")
    guard descriptor >= 0 else { throw .failed("open", "\(directory)/events", descriptor) }
    let context = Unmanaged.passRetained(self)
    let buffer = ring_buffer__new(
      descriptor,
      { context, data, size in
        guard let context, let data, size >= MemoryLayout<ist_event>.size,
          let event = Event(data.loadUnaligned(as: ist_event.self))
        else { return 0 }
        Unmanaged<EventReader>.fromOpaque(context).takeUnretainedValue().handler(.event(event))
        return 0
      }, context.toOpaque(), nil)
    close(descriptor)
    guard let buffer else {
      context.release()
      throw .failed("read", "events")
    }
    // What was untold before is no news now.
    let before = UntoldEvents(state)
    // Unsafe only in name: nobody but the one new thread uses libbpf's handle from here on.
    nonisolated(unsafe) let owned = buffer
    Thread.detachNewThread { [self] in
      var untold = before
      var next = ContinuousClock.now
      while !stopped.load(ordering: .relaxed) {
        let told = ring_buffer__poll(owned, 200)
        // Else each of a thousand a second wakes this thread, which costs more than all that is done with it. The
        // buffer has room for 7,000; where many came at once, the next ones are not waited for.
        if (1..<1024).contains(told) { usleep(10_000) }
        guard ContinuousClock.now >= next else { continue }
        next = .now + .seconds(1)
        untold.changes().forEach(handler)
      }
      ring_buffer__free(owned)
      context.release()
    }
  }

  /// Ends the reading within 200 ms.
  public func stop() { stopped.store(true, ordering: .relaxed) }
}

/// How many events each instance had that were not told, as last seen.
private struct UntoldEvents: Sendable {
  private let state: PinnedState
  private var seen: [UInt32: (denials: UInt64, connections: UInt64)] = [:]

  init(_ state: PinnedState) {
    self.state = state
    _ = changes()
  }

  /// What went untold since the last call; forgets instances that ended, once that is told. The map
  /// may be changing: what is missed now is found next time.
  mutating func changes() -> [ObservedEvent] {
    // Counts only grow: what cannot be read now is found next time.
    guard let entries = try? state.maps.eventRates.entries(), let names = try? Names(state) else {
      return []
    }
    var now: [UInt32: (denials: UInt64, connections: UInt64)] = [:]
    var changes: [ObservedEvent] = []
    for (ifindex, rate) in entries {
      let before = seen[ifindex] ?? (0, 0)
      if isGone(ifindex) {
        // Or with the next look.
        try? state.maps.eventRates.remove(ifindex)
      } else {
        now[ifindex] = (rate.denials_untold, rate.flows_untold)
      }
      // Less than before: an instance that ended, and a new one with its number.
      let denials = rate.denials_untold &- min(before.denials, rate.denials_untold)
      let connections = rate.flows_untold &- min(before.connections, rate.flows_untold)
      guard denials > 0 || connections > 0 else { continue }
      changes.append(
        .untold(names.identity(ifindex: ifindex), denials: denials, connections: connections))
    }
    seen = now
    return changes
  }

  /// Whether no instance has this link. 0 is who has no identity, and stays.
  private func isGone(_ ifindex: UInt32) -> Bool {
    guard ifindex != 0 else { return false }
    do {
      return try (state.maps.fabricLinks.value(at: ifindex)?.deployment ?? 0) == 0
    } catch {
      return false
    }
  }
}
