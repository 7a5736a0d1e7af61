import Dataplane
import LinuxSystem
import Model
import SystemPackage

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
  /// No deployment has a service of this name.
  case unknownService(ServiceName)
  /// The container cannot become an instance.
  case unusableContainer(String, String)

  /// There is no such instance that waits to be published.
  case notStarting(String)
  /// An instance was to be published before it had a process.
  case noProcess(String)

  /// The registry has a declaration, and the kernel did not take all of it.
  case notInEffect(DeploymentName, String)
  /// The record of a container cannot be read.
  case damagedRecord(path: String, problem: String)
  /// A service has no instance on this runner, but perhaps on these.
  case noInstanceHere(String, runners: [String])
  /// No instance of a service on this runner accepts connections on a port.
  case nobodyAccepts(String, port: PortNumber, Errno)

  /// What only a runner's own istbpfd can do, since only that may write its key in the registry, was asked of `here`.
  case otherRunner(named: String, here: String)
  /// What is for a runner that is being emptied was asked of one that is not.
  case notDrained(String)

  /// There is no istbpf-relay, for this reason.
  case noRelay(String)
  /// istbpf-relay does not take what it is told, for this reason.
  case relayRefused(String)

  /// The public name of a service is another deployment's service's.
  case publicNameTaken(service: String, label: String, owner: String)

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
    case .otherRunner(let name, let here):
      "this is runner \(here): run the command on \(name), whose istbpfd alone may say that of it"
    case .notDrained(let name):
      "runner \(name) is not drained: istbpf runner drain \(name) comes first"
    case .noRelay(let problem): "istbpf-relay: \(problem)"
    case .relayRefused(let problem): problem
    case .notStarting(let instance):
      "no instance \(instance) is starting: it has ended, or the daemon was started anew meanwhile"
    case .noProcess(let instance):
      "\(instance) has no process in its cgroup, so nothing proves that one is guarded there"
    case .notInEffect(let deployment, let problem):
      """
      \(deployment) is declared, but not all of it is in effect on this runner: \(problem). istbpfd goes \
      on trying, and says in its log when it is
      """
    case .damagedRecord(let path, let problem):
      """
      \(path), which says what container an instance is, cannot be read: \(problem). Without it nobody \
      knows which cgroup is to be guarded: end the container, then remove the file
      """
    case .publicNameTaken(let service, let label, let owner):
      """
      the public URL of \(service) would begin with \(label), as that of \(owner) does: give one of \
      the two another name, or make it private
      """
    case .noInstanceHere(let service, let runners):
      runners.isEmpty
        ? "\(service) has no instance that runs"
        : "\(service) has no instance on this runner: run istbpf connect on "
          + runners.joined(separator: " or ")
    case .nobodyAccepts(let service, let port, let error):
      "no instance of \(service) on this runner accepts connections on port \(port): \(error)"
    case .unusableNamespace(let thread, let problem):
      "the network namespace of thread \(thread) cannot become an instance's: \(problem)"
    case .unknownService(let name):
      "no deployment has a service \"\(name)\""
    case .unusableContainer(let container, let problem):
      "container \(container) cannot become an instance: \(problem)"
    }
  }
}
