import Glibc
import Synchronization

/// Runs blocking `bodies` on threads of their own and waits; rethrows the first error.
public func concurrently(_ bodies: (@Sendable () throws -> Void)...) throws {
  try concurrently(bodies)
}

/// Runs blocking `bodies` on threads of their own and waits; rethrows the first error.
public func concurrently(_ bodies: [@Sendable () throws -> Void]) throws {
  final class Work: Sendable {
    let body: @Sendable () throws -> Void
    let error = Mutex<(any Error)?>(nil)
    init(_ body: @escaping @Sendable () throws -> Void) { self.body = body }
  }
  let works = bodies.map(Work.init)
  let threads = works.map { work in
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
        do { try work.body() } catch { work.error.withLock { $0 = error } }
        return nil
      }, Unmanaged.passRetained(work).toOpaque())
    return thread
  }
  for thread in threads { pthread_join(thread, nil) }
  for work in works { if let error = work.error.withLock({ $0 }) { throw error } }
}
