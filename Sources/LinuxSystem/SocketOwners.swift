import Glibc

/// Which processes have sockets.
public enum SocketOwners {
  /// The processes that have a descriptor of a socket with one of these inode numbers, as /proc/net and
  /// sock_diag(7) show them, by that number.
  ///
  /// Looks at every descriptor of `processes`; those that have ended meanwhile, or may not be looked at, have
  /// none.
  public static func find(of inodes: Set<UInt64>, among processes: [pid_t]) -> [UInt64: [pid_t]] {
    var owners: [UInt64: [pid_t]] = [:]
    guard !inodes.isEmpty else { return owners }
    for process in processes {
      let directory = "/proc/\(process)/fd"
      for name in (try? DirectoryListing.names(in: directory)) ?? [] {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink("\(directory)/\(name)", &buffer, buffer.count)
        guard count > 0 else { continue }
        let target = String(decoding: buffer[..<count].map(UInt8.init), as: UTF8.self)
        guard target.hasPrefix("socket:["),
          let inode = UInt64(target.dropFirst("socket:[".count).dropLast()), inodes.contains(inode)
        else { continue }
        owners[inode, default: []].append(process)
      }
    }
    return owners
  }
}
