import Dispatch
import Synchronization

/// Runs `body` on the tasks' threads and blocks the calling one until it is done.
///
/// For `run`, whose own thread has entered namespaces and must stay the one that calls exec.
func blocking<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) throws
  -> Result
{
  let box = Box<Swift.Result<Result, any Error>>()
  let done = DispatchSemaphore(value: 0)
  Task.detached {
    do { box.set(.success(try await body())) } catch { box.set(.failure(error)) }
    done.signal()
  }
  done.wait()
  return try box.take().get()
}

/// Carries one value from one thread to another.
private final class Box<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)

  func set(_ new: Value) { value.withLock { $0 = new } }

  func take() -> Value {
    guard let value = value.withLock({ $0 }) else {
      preconditionFailure("signalled before it was set")
    }
    return value
  }
}
