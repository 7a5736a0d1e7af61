import CLinux
import SystemPackage

/// The cgroup2 hierarchy, the only one that BPF programs attach to.
///
/// On a hybrid system it is mounted beside the old controllers, mostly on /sys/fs/cgroup/unified.
public struct CgroupHierarchy: Hashable, Sendable {
  /// The root of the hierarchy, as far as this process sees it.
  public let root: Cgroup

  /// Where cgroup2 is mounted.
  public var mountPoint: String { root.path }

  /// The hierarchy that is mounted according to `table`; throws `SystemError`, ENOENT where none is.
  ///
  /// Of several mounts the first whole one is taken: another may be a bind mount of one cgroup.
  public init(in table: MountTable) throws {
    let mounts = table.entries.filter { $0.type == "cgroup2" }
    guard let mount = mounts.first(where: { $0.root == "/" }) ?? mounts.first else {
      throw SystemError(
        .noSuchFileOrDirectory, "find", "a cgroup2 mount in /proc/self/mountinfo",
        hint: "boot with systemd, or: mount -t cgroup2 none /sys/fs/cgroup")
    }
    root = Cgroup(path: mount.mountPoint)
  }

  /// The hierarchy of the calling process.
  public static func find() throws -> CgroupHierarchy {
    try CgroupHierarchy(in: try MountTable.current())
  }

  /// Gives the calling thread a cgroup namespace: of every hierarchy that it mounts from now on it sees
  /// the cgroup that it is in now, as the root, and those inside.
  public static func unshareNamespace() throws {
    guard linux_unshare_cgroup_namespace() == 0 else {
      throw SystemError(.last, "create", "a cgroup namespace")
    }
  }

  /// The cgroup at `path` below the root, which need not exist: `istbpf/shop`.
  public func cgroup(_ path: String) -> Cgroup {
    path.split(separator: "/").reduce(root) { $0.child(String($1)) }
  }

  /// The cgroup of the process `process`; throws `SystemError`, ENOENT where it has ended.
  public func cgroup(of process: Int32) throws -> Cgroup {
    let file = "/proc/\(process)/cgroup"
    for line in try SmallFile.read(file).split(separator: "\n") where line.hasPrefix("0::") {
      return cgroup(String(line.dropFirst(3)))
    }
    throw SystemError(.noSuchFileOrDirectory, "find a cgroup2 line in", file)
  }
}
