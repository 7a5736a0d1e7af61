import CLinux
import Glibc

/// Which namespaces processes are in. Everything throws `SystemError`: ENOENT or ESRCH where the process
/// has ended.
public enum ProcessNamespaces {
  /// A kind of namespace, by its name below /proc/PID/ns.
  public enum Kind: String, Sendable, CaseIterable {
    case cgroup, ipc, mount = "mnt", network = "net", process = "pid", time, user, uts
  }

  /// What tells one namespace from another.
  public struct Identity: Hashable, Sendable {
    /// `st_dev` of the namespace file.
    public let device: UInt64
    /// `st_ino` of the namespace file, which `lsns` shows.
    public let inode: UInt64
  }

  /// The namespace of this kind that the process `process` is in.
  public static func identity(_ kind: Kind, of process: pid_t) throws -> Identity {
    let path = path(kind, of: process)
    var status = stat()
    guard stat(path, &status) == 0 else { throw SystemError(.last, "look at", path) }
    return Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }

  /// The pid namespaces that see the process `process`: its own first, then that one's parent and so on,
  /// as far as the caller sees them itself.
  public static func processNamespaces(of process: pid_t) throws -> [Identity] {
    var descriptor = try OwnedDescriptor(opening: path(.process, of: process))
    var identities = [try identity(of: descriptor)]
    while true {
      let parent = linux_parent_namespace(descriptor.rawValue)
      // EPERM: the caller's own is the last.
      guard parent >= 0 else { return identities }
      descriptor = OwnedDescriptor(owning: parent)
      identities.append(try identity(of: descriptor))
    }
  }

  /// How many pid namespaces see the process `process`, from the caller's own on: 1 where it is in that one
  /// itself. Unlike the others, everyone may ask.
  public static func depth(of process: pid_t) throws -> Int {
    let status = try SmallFile.read("/proc/\(process)/status").split(separator: "\n")
    guard let line = status.first(where: { $0.hasPrefix("NSpid:") }) else {
      throw SystemError(.noSuchProcess, "find NSpid in", "/proc/\(process)/status")
    }
    return line.split(separator: "\t").count - 1
  }

  /// The ids of all processes that the caller's /proc shows.
  public static func allProcesses() throws -> [pid_t] {
    try DirectoryListing.names(in: "/proc").compactMap { pid_t($0) }
  }

  private static func path(_ kind: Kind, of process: pid_t) -> String {
    "/proc/\(process)/ns/\(kind.rawValue)"
  }

  private static func identity(of descriptor: borrowing OwnedDescriptor) throws -> Identity {
    var status = stat()
    guard fstat(descriptor.rawValue, &status) == 0 else {
      throw SystemError(.last, "look at", "a namespace")
    }
    return Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }
}
