import Glibc
import LinuxSystem

/// The Unix sockets of programs of the host, at which whoever can open them may ask for anything: engines,
/// service managers, and every other program of root's.
enum HostSockets {
  /// A socket that has a name in a file system.
  private struct Named {
    let path: String
    /// Its number, as /proc/PID/fd has it.
    let inode: Substring
  }

  /// Programs of other users that start programs for who asks.
  private static let starters: Set<String> = [
    "buildkitd", "containerd", "crio", "dbus-broker", "dbus-daemon", "dockerd", "libvirtd",
    "podman",
    "rootlesskit", "systemd", "virtqemud",
  ]

  /// What only writes down what it is told.
  private static let logs = ["/dev/log", "/run/systemd/journal/"]

  /// What is known of sockets: their paths, whose links are resolved.
  struct Found {
    var powerful: [String] = []
    var harmless: [String] = []
  }

  /// The sockets for which `isMeant` says so. One whose program cannot be found is powerful.
  ///
  /// Those in mount namespaces of others are not among them: they have no path here.
  static func find(where isMeant: (String) -> Bool) throws -> Found {
    let processes = try ProcessNamespaces.allProcesses()
    var seen: Set<ProcessNamespaces.Identity> = []
    var candidates: [Named] = []
    for process in processes {
      guard let namespace = try? ProcessNamespaces.identity(.network, of: process),
        seen.insert(namespace).inserted,
        let table = try? SmallFile.read("/proc/\(process)/net/unix")
      else { continue }
      candidates += named(in: table).filter { isMeant($0.path) }
    }
    guard !candidates.isEmpty else { return Found() }
    let owners = owners(of: Set(candidates.map(\.inode)), processes)
    var found = Found()
    for candidate in candidates {
      let isLog = logs.contains { candidate.path.hasPrefix($0) }
      if !isLog, owners[candidate.inode]?.contains(where: isPowerful) ?? true {
        found.powerful.append(candidate.path)
      } else {
        found.harmless.append(candidate.path)
      }
    }
    return found
  }

  /// Those that take connections or datagrams (unix(7), and net/unix/af_unix.c for the columns).
  private static func named(in table: String) -> [Named] {
    table.split(separator: "\n").dropFirst().compactMap { line in
      let fields = line.split(separator: " ", maxSplits: 7, omittingEmptySubsequences: true)
      guard fields.count == 8, fields[7].hasPrefix("/") else { return nil }
      let accepts = UInt32(fields[3], radix: 16).map { $0 & 0x10000 != 0 } ?? false
      guard accepts || fields[4] == "0002", let path = SystemPaths.resolved(String(fields[7])),
        isSocket(path)
      else { return nil }
      return Named(path: path, inode: fields[6])
    }
  }

  static func isSocket(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
  }

  private static func owners(
    of inodes: Set<Substring>, _ processes: [pid_t]
  ) -> [Substring: [pid_t]] {
    var owners: [Substring: [pid_t]] = [:]
    for process in processes {
      let directory = "/proc/\(process)/fd"
      for name in (try? DirectoryListing.names(in: directory)) ?? [] {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink("\(directory)/\(name)", &buffer, buffer.count)
        guard count > 0 else { continue }
        let target = String(decoding: buffer[..<count].map(UInt8.init), as: UTF8.self)
        guard target.hasPrefix("socket:[") else { continue }
        let inode = target.dropFirst("socket:[".count).dropLast()
        if inodes.contains(inode) { owners[inode, default: []].append(process) }
      }
    }
    return owners
  }

  private static func isPowerful(_ process: pid_t) -> Bool {
    var status = stat()
    guard stat("/proc/\(process)", &status) == 0, status.st_uid != 0 else { return true }
    let name = (try? SmallFile.read("/proc/\(process)/comm"))?.split(separator: "\n").first ?? ""
    return starters.contains(String(name))
  }
}
