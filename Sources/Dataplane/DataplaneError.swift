import CLibbpf
import Glibc

/// What went wrong with the kernel's side of the data path.
public enum DataplaneError: Error, Equatable {
  /// A call failed: `operation` on `object` with `errno`; `hint` is the likely cause.
  case system(operation: String, object: String, errno: Int32, hint: String?)
  /// The pinned state is of another layout, and live instances depend on it.
  case otherLayout(found: UInt32, expected: UInt32, directory: String)
  /// The pinned state is for another range of addresses, and live instances depend on it.
  case otherRange(found: String, expected: String, directory: String)
  /// Nothing is pinned below the directory: no daemon has run since the machine started.
  case nothingPinned(directory: String)
  /// No pinned map has this name.
  case noSuchMap(name: String, known: [String])
  /// The kernel's effective programs of a cgroup are not the ones that were attached.
  case notEffective(cgroup: String, missing: [String])
  /// What the programs must deny was not denied to a process that should be in the cgroup: `errno` is
  /// what the attempt gave instead of EPERM, 0 where it worked.
  case unguarded(cgroup: String, attempt: String, errno: Int32)
  /// The kernel did not take the programs; `log` is the end of what libbpf said.
  case loadFailed(errno: Int32, log: String)
}

extension DataplaneError: CustomStringConvertible {
  /// What to tell people.
  public var description: String {
    switch self {
    case .system(let operation, let object, let errno, let hint):
      let reason = "cannot \(operation) \(object): \(String(cString: strerror(errno)))"
      return hint.map { "\(reason) (\($0))" } ?? reason
    case .otherLayout(let found, let expected, let directory):
      return """
        the state pinned in \(directory) has layout \(found), and this version works with \
        \(expected): end the instances that are running, or go back to the version that started \
        them; nothing was changed
        """
    case .otherRange(let found, let expected, let directory):
      return """
        the state pinned in \(directory) is for the range \(found), not \(expected), and instances \
        are running in it: end them first, or configure \(found); nothing was changed
        """
    case .nothingPinned(let directory):
      return "nothing is pinned in \(directory): istbpfd has not run since this machine started"
    case .noSuchMap(let name, let known):
      return "there is no map '\(name)'; the maps are \(known.joined(separator: ", "))"
    case .notEffective(let cgroup, let missing):
      return """
        the kernel does not run \(missing.joined(separator: ", ")) for \(cgroup), although they \
        were attached: another program's attachment to a parent cgroup may exclude them
        """
    case .unguarded(let cgroup, let attempt, let errno):
      let outcome =
        errno == 0 ? "it worked" : "it failed with \"\(String(cString: strerror(errno)))\""
      return """
        the programs of \(cgroup) do not guard this process: \(attempt) should have been denied, and \
        \(outcome). The kernel takes its sockets for another cgroup's: is the process in that \
        cgroup, and is that cgroup2's own file system?
        """
    case .loadFailed(let errno, let log):
      return """
        the kernel did not take the BPF programs: \(String(cString: strerror(errno))) \
        (see `istbpf doctor`)
        \(log)
        """
    }
  }

  /// The error for a failed call, from the C `errno` that libbpf leaves (it sets it, and returns
  /// its negative).
  static func failed(_ operation: String, _ object: String, _ result: Int32 = -errno) -> Self {
    let code = result < 0 ? -result : errno
    let hint: String? =
      switch code {
      case EPERM, EACCES: "are you root?"
      case E2BIG, ENOSPC: "the map is full"
      case ENOMEM: "the kernel has no memory for it"
      default: nil
      }
    return .system(operation: operation, object: object, errno: code, hint: hint)
  }
}
