import Glibc

/// Seconds since the machine started, also while it slept: a clock that a later process can go on with, and
/// that nobody sets.
public typealias BootTime = Double

/// The time on that clock.
public func bootTimeNow() -> BootTime {
  var time = timespec()
  clock_gettime(CLOCK_BOOTTIME, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
