/// What an event loop watches: the owner of a descriptor.
class EventSource {
  /// How the loop knows it; 0 where it is not watched.
  final var token: UInt64 = 0

  /// The descriptor became ready as `events` says (EPOLL bits), edge-triggered: what is not used up
  /// is not told again.
  func handle(_ events: UInt32) {}
}

/// The sources of a loop by their tokens: a place in a table, and how often it was given away, so
/// that an event for what was closed a moment ago reaches nobody else.
struct EventSources {
  private var entries: [(source: EventSource?, generation: UInt32)] = []
  private var free: [Int] = []

  mutating func add(_ source: EventSource) {
    if free.isEmpty {
      entries.append((nil, 0))
      free.append(entries.count - 1)
    }
    let index = free.removeLast()
    entries[index].generation &+= 1
    entries[index].source = source
    source.token = UInt64(entries[index].generation) << 32 | UInt64(index)
  }

  mutating func remove(_ source: EventSource) {
    guard self[source.token] === source else { return }
    let index = Int(source.token & 0xffff_ffff)
    entries[index].source = nil
    free.append(index)
    source.token = 0
  }

  subscript(token: UInt64) -> EventSource? {
    let index = Int(token & 0xffff_ffff)
    guard index < entries.count, UInt64(entries[index].generation) == token >> 32 else {
      return nil
    }
    return entries[index].source
  }
}
