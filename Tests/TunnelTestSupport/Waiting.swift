import Glibc

/// Whether `condition` holds within `seconds`.
public func eventually(_ seconds: Int = 5, _ condition: () throws -> Bool) rethrows -> Bool {
  for _ in 0..<(seconds * 100) {
    if try condition() { return true }
    usleep(10_000)
  }
  return false
}

/// What threads wait at until another opens it.
public final class Gate: @unchecked Sendable {
  // Safe because it is what orders threads.
  private var semaphore = sem_t()

  /// A gate that is shut.
  public init() { sem_init(&semaphore, 0, 0) }

  /// Lets the one through that waits, or the next.
  public func open() { sem_post(&semaphore) }

  /// Waits; for one thread.
  public func wait() { while sem_wait(&semaphore) != 0 {} }
}
