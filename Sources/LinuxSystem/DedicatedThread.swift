import Glibc
import SystemPackage

/// A thread of its own for one synchronous piece of work that changes what belongs to a thread:
/// namespaces, credentials, capabilities, seccomp filters.
public enum DedicatedThread {
  /// Runs `body` on a new thread, waits for it, and returns what it returned or threw.
  ///
  /// The thread ends with `body`, so nothing that `body` did to it can leak into a pool. New threads
  /// inherit their creator's namespaces and filters: `body` must start neither a `Task` nor Dispatch
  /// work, which could make a pool grow a thread that keeps them for ever. The caller is blocked
  /// meanwhile, which is why `body` need not be `Sendable`.
  ///
  /// Throws `SystemError` where no thread can be made.
  public static func run<Value: ~Copyable>(_ body: () throws -> Value) throws -> Value {
    var result: Result<Value, any Error>?
    let work: () -> Void = {
      do { result = .success(try body()) } catch { result = .failure(error) }
    }
    let code = withoutActuallyEscaping(work) { start(Work(body: $0)) }
    guard code == 0 else { throw SystemError(Errno(rawValue: code), "start", "a thread") }
    // The thread has been joined, so it has set the result, unless `body` ended it.
    guard let result = result.take() else { throw SystemError(.noSuchProcess, "await", "a thread") }
    return try result.get()
  }

  private final class Work {
    let body: () -> Void
    init(body: @escaping () -> Void) { self.body = body }
  }

  /// Runs `work` on a new thread and joins it; pthread_create's error, or 0.
  private static func start(_ work: consuming Work) -> Int32 {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(work)
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      }, argument.toOpaque())
    guard code == 0 else {
      argument.release()
      return code
    }
    pthread_join(thread, nil)
    return 0
  }
}
