import CLibbpf
import Glibc

/// A BPF program of somebody else's on a hook that ours are on, too.
public struct OtherProgram: Hashable, Sendable {
  /// The directory of the cgroup that it is attached to.
  public let cgroup: String
  /// The hook: `connect4`.
  public let hook: String
  /// The kernel's number for it: `bpftool prog show id 7`.
  public let id: UInt32
  /// Its name, cut at 15 characters; empty where it has none.
  public let name: String

  /// Those attached to the cgroups `paths`. A cgroup that is gone has none. Throws `DataplaneError`, EPERM
  /// where the caller is not root.
  public static func list(on paths: [String]) throws(DataplaneError) -> [OtherProgram] {
    var found: [OtherProgram] = []
    for path in paths {
      let cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard cgroup >= 0 else { continue }
      defer { close(cgroup) }
      for (hook, program) in try CgroupPrograms.others(on: cgroup, named: path) {
        found.append(OtherProgram(cgroup: path, hook: hook, id: program.id, name: program.name))
      }
    }
    return found
  }
}
