import Glibc
import LinuxSystem

/// The Unix sockets of programs of the host, at which whoever can open them may ask for anything: engines,
/// service managers, and every other program of root's.
enum HostSockets {
  /// A socket that has a name in a file system.
  private struct Named {
    /// As it was given to bind(2): perhaps relative to the directory that its program was in then.
    let name: String
    /// Its number, as /proc/PID/fd has it.
    let inode: Substring

    var isRelative: Bool { !name.hasPrefix("/") }
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
    /// Names of powerful programs' sockets that are relative, and whose file is not known, or has further names.
    var unplaced: [String] = []
  }

  /// The sockets for which `isMeant` says so. One whose program cannot be found is powerful.
  ///
  /// Those in mount namespaces of others are not among them: they have no path here.
  static func find(where isMeant: (String) -> Bool) throws -> Found {
    let processes = try ProcessNamespaces.allProcesses()
    var seen: Set<ProcessNamespaces.Identity> = []
    var candidates: [Named] = []
    for process in processes {
      // One that ends just now has none of its own, and leaves its namespace to the next process that is in it.
      guard let namespace = try? ProcessNamespaces.identity(.network, of: process),
        !seen.contains(namespace),
        let table = try? SmallFile.read("/proc/\(process)/net/unix")
      else { continue }
      seen.insert(namespace)
      candidates += named(in: table).filter { isCandidate($0, isMeant) }
    }
    guard !candidates.isEmpty else { return Found() }
    let owners = SocketOwners.find(
      of: Set(candidates.compactMap { UInt64($0.inode) }), among: processes)
    let mounts = try ProcessNamespaces.identity(.mount, of: getpid())
    var found = Found()
    for candidate in candidates {
      let owners = UInt64(candidate.inode).flatMap { owners[$0] }
      let processes = owners?.map(\.process)
      let file = candidate.isRelative ? file(of: candidate, owners ?? []) : nil
      // It was removed.
      if file?.links == 0 { continue }
      let paths =
        candidate.isRelative ? [file?.path].compactMap(\.self) : absolutePaths(of: candidate)
      if candidate.isRelative, paths.isEmpty, let processes,
        !processes.contains(where: { (try? ProcessNamespaces.identity(.mount, of: $0)) == mounts })
      {
        // Of another mount namespace, or ended meanwhile.
        continue
      }
      let isLog = logs.contains { log in paths.contains { $0.hasPrefix(log) } }
      if isLog || processes?.contains(where: isPowerful) == false {
        found.harmless += paths
      } else {
        found.powerful += paths.filter(isMeant)
        if candidate.isRelative, file?.links != 1 || paths.isEmpty {
          found.unplaced.append(candidate.name)
        }
      }
    }
    return found
  }

  /// Owners are looked for only where one may be meant, since that takes long.
  private static func isCandidate(_ socket: Named, _ isMeant: (String) -> Bool) -> Bool {
    socket.isRelative
      || SystemPaths.resolved(socket.name).map { isSocket($0) && isMeant($0) } ?? false
  }

  /// Those that take connections or datagrams (unix(7), and net/unix/af_unix.c for the columns).
  private static func named(in table: String) -> [Named] {
    table.split(separator: "\n").dropFirst().compactMap { line in
      let fields = line.split(separator: " ", maxSplits: 7, omittingEmptySubsequences: true)
      guard fields.count == 8, !fields[7].hasPrefix("@") else { return nil }
      let accepts = UInt32(fields[3], radix: 16).map { $0 & 0x10000 != 0 } ?? false
      guard accepts || fields[4] == "0002" else { return nil }
      return Named(name: String(fields[7]), inode: fields[6])
    }
  }

  /// Where one of an absolute name is, without links.
  private static func absolutePaths(of socket: Named) -> [String] {
    [SystemPaths.resolved(socket.name)].compactMap(\.self).filter(isSocket)
  }

  /// The file of a socket whose name is relative to a directory that its program was in then, and may have left; nil
  /// where nobody is known to have the socket, as while it is on its way to another process.
  private static func file(of socket: Named, _ owners: [SocketOwner]) -> SocketFile? {
    guard let inode = UInt64(socket.inode) else { return nil }
    return owners.lazy.compactMap { try? SocketFile(of: inode, by: $0) }.first
  }

  static func isSocket(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
  }

  private static func isPowerful(_ process: pid_t) -> Bool {
    var status = stat()
    guard stat("/proc/\(process)", &status) == 0, status.st_uid != 0 else { return true }
    let name = (try? SmallFile.read("/proc/\(process)/comm"))?.split(separator: "\n").first ?? ""
    return starters.contains(String(name))
  }
}
