import CLinux

/// CLOCK_REALTIME, as the kernel knows it.
public enum KernelClock {
  /// By how many microseconds it may be wrong at most, as the kernel estimates; nil where nothing synchronizes it.
  /// Throws `SystemError`.
  public static func mostError() throws -> Int? {
    var most = 0
    let result = linux_clock_is_synchronized(&most)
    guard result >= 0 else { throw SystemError(.last, "ask for the state of", "the clock") }
    return result == 1 ? most : nil
  }
}
