import Foundation

/// Threads of their own for tests that block: the few that all tasks share would be taken from the
/// other tests, whose time limits go on meanwhile.
final class BlockingExecutor: TaskExecutor {
  static let shared = BlockingExecutor()

  private let queue = OperationQueue()

  private init() {
    // A scenario is several processes already.
    queue.maxConcurrentOperationCount = max(2, ProcessInfo.processInfo.activeProcessorCount / 2)
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.addOperation { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
