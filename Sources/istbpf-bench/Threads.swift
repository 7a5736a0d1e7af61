import Glibc

/// Runs `body` on `count` threads at once, each told its number, and waits for all.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Work {
    let number: Int
    let body: @Sendable (Int) -> Void
    init(_ number: Int, _ body: @escaping @Sendable (Int) -> Void) {
      (self.number, self.body) = (number, body)
    }
  }
  let threads = (0..<count).map { number in
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
        work.body(work.number)
        return nil
      }, Unmanaged.passRetained(Work(number, body)).toOpaque())
    precondition(code == 0, "pthread_create: \(String(cString: strerror(code)))")
    return thread
  }
  for thread in threads { pthread_join(thread, nil) }
}
