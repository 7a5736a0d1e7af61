/// Whether a loop looks for events a while before it sleeps.
///
/// To sleep and be woken takes a thread 5 to 50 us, most where the CPU itself went to sleep, and a
/// round trip between two runners has four such waits in relays, a connect and its end a dozen. It is
/// worth it while events come within the limit; the first one that does not ends it, so that a loop
/// with little to do sleeps. The CPU is given up to whoever else wants it in between.
struct BusyPolling {
  /// How long a loop looks, in nanoseconds: as long as KVM does before it gives a CPU away
  /// (halt_poll_ns).
  static let limit: UInt64 = 200_000

  /// Whether the next wait begins so.
  private(set) var isWorthwhile = false

  /// A wait took so many nanoseconds, sleep and wakeup included.
  mutating func waited(_ nanoseconds: UInt64) {
    isWorthwhile = nanoseconds < Self.limit
  }
}
