import Dispatch
import Synchronization

/// A result that one thread waits for, blocked, and another one comes to. The first result stays.
final class Promise<Value: Sendable>: Sendable {
  private let result = Mutex<Result<Value, any Error>?>(nil)
  private let isKnown = DispatchSemaphore(value: 0)

  /// Has the one that waits go on.
  func resolve(_ new: Result<Value, any Error>) {
    result.withLock { $0 = $0 ?? new }
    isKnown.signal()
  }

  /// Blocks until the result is known: never for a thread of Swift's tasks, which others need.
  func wait() throws -> Value {
    isKnown.wait()
    guard let result = result.withLock({ $0 }) else {
      preconditionFailure("signalled before it was known")
    }
    return try result.get()
  }
}
