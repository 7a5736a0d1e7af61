/// The tunnels to one peer that carry nothing now, ready for the next stream.
///
/// The last that came back is the first to be taken, so that what demand does not need grows old and
/// is let go.
package struct IdleTunnels<Tunnel: AnyObject> {
  private var entries: [(tunnel: Tunnel, since: UInt64)] = []

  package init() {}

  /// How many there are.
  package var count: Int { entries.count }

  /// Takes the one that was used last.
  package mutating func take() -> Tunnel? { entries.popLast()?.tunnel }

  /// Takes the one that was used last of those that are `fit`, of which it looks at the last four; else the last
  /// one, unless that came back before `time`.
  package mutating func take(since time: UInt64, where isFit: (Tunnel) -> Bool) -> Tunnel? {
    let first = Swift.max(0, entries.count - 4)
    if let index = entries[first...].lastIndex(where: { isFit($0.tunnel) }) {
      return entries.remove(at: index).tunnel
    }
    guard let last = entries.last, last.since >= time else { return nil }
    return take()
  }

  /// Puts `tunnel` back at the time `now`, in nanoseconds of any clock that does not go back.
  package mutating func put(_ tunnel: Tunnel, now: UInt64) { entries.append((tunnel, now)) }

  /// Takes `tunnel` out, wherever it is.
  package mutating func remove(_ tunnel: Tunnel) { entries.removeAll { $0.tunnel === tunnel } }

  /// Takes all out that have been idle since before `time`, in nanoseconds, but for the `kept` that were used last.
  package mutating func takeIdle(since time: UInt64, keeping kept: Int = 0) -> [Tunnel] {
    let old = entries.dropLast(kept).prefix { $0.since < time }.map(\.tunnel)
    entries.removeFirst(old.count)
    return old
  }

  /// Takes all out.
  package mutating func takeAll() -> [Tunnel] {
    defer { entries = [] }
    return entries.map(\.tunnel)
  }
}
