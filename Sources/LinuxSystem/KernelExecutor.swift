import Dispatch

/// Runs an actor's jobs on a queue of its own: calls into the kernel block, and would hold up the
/// few threads that all tasks share.
package final class KernelExecutor: SerialExecutor {
  private let queue = DispatchQueue(label: "istbpf.kernel")

  package init() {}

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }
}
