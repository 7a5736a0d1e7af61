import Dataplane
import LinuxSystem
import Model

/// What the daemon refuses.
public enum RunnerError: Error, CustomStringConvertible {
  /// Another daemon holds the lock.
  case alreadyRunning(lockPath: String, pid: Int32?)
  /// The kernel is older than anything this was tried on.
  case kernelTooOld(KernelRelease)
  /// Processes run in cgroups of instances that the registry does not know.
  case unknownInstances([String])
  /// The thread's network namespace cannot become an instance's.
  case unusableNamespace(thread: Int32, problem: String)

  /// What to tell people.
  public var description: String {
    switch self {
    case .alreadyRunning(let lockPath, let pid):
      "istbpfd runs already\(pid.map { ", with pid \($0)" } ?? "") and holds \(lockPath)"
    case .kernelTooOld(let release):
      "Linux \(release) is too old: \(KernelRelease.oldestSupported) or later is needed"
    case .unknownInstances(let cgroups):
      """
      processes run in \(cgroups.joined(separator: ", ")), but the registry knows no such instances: \
      was it deleted or replaced? Restore it, or end them and clean up with `istbpf uninstall --force`
      """
    case .unusableNamespace(let thread, let problem):
      "the network namespace of thread \(thread) cannot become an instance's: \(problem)"
    }
  }
}
