import Glibc
import LinuxSystem

/// What this process got from the engine, so that the runtime gets it too, and nothing else: the
/// client of the daemon opens descriptors and ignores SIGPIPE.
struct InheritedDescriptors {
  private let numbers: Set<Int32>
  private let pipeSignal: sigaction

  init() throws {
    numbers = try Self.passed()
    var action = sigaction()
    sigaction(SIGPIPE, nil, &action)
    pipeSignal = action
  }

  /// Has exec close what was opened since, and puts the signal back.
  func restore() throws {
    for number in try Self.passed().subtracting(numbers) { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
    var action = pipeSignal
    sigaction(SIGPIPE, &action, nil)
  }

  /// Those that exec would pass on. At the start that are those that exec passed to this process: what
  /// other threads open meanwhile has the flag, as Dispatch's have.
  private static func passed() throws -> Set<Int32> {
    Set(
      try DirectoryListing.names(in: "/proc/self/fd").compactMap { Int32($0) }
        .filter { fcntl($0, F_GETFD) == 0 })
  }
}
