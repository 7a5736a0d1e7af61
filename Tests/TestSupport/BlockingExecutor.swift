import Foundation

/// Threads of their own for tests that block: the few that all tasks share would be taken from the
/// other tests, whose time limits go on meanwhile.
package final class BlockingExecutor: TaskExecutor {
  // A scenario is several processes already.
  static let shared = BlockingExecutor(
    threads: max(2, ProcessInfo.processInfo.activeProcessorCount / 2))

  private let queue = OperationQueue()

  /// One of so many threads at most.
  package init(threads: Int) { queue.maxConcurrentOperationCount = threads }

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.addOperation { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
