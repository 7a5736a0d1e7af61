import Glibc

/// A process that has a socket.
public struct SocketOwner: Hashable, Sendable {
  /// Its id.
  public let process: pid_t
  /// The number that the socket has there.
  public let descriptor: Int32
}

/// Which processes have sockets.
public enum SocketOwners {
  /// The processes that have a descriptor of a socket with one of these inode numbers, as /proc/net and
  /// sock_diag(7) show them, by that number.
  ///
  /// Looks at every descriptor of `processes`; those that have ended meanwhile, or may not be looked at, have
  /// none.
  public static func find(
    of inodes: Set<UInt64>, among processes: [pid_t]
  ) -> [UInt64: [SocketOwner]] {
    var owners: [UInt64: [SocketOwner]] = [:]
    guard !inodes.isEmpty else { return owners }
    for process in processes {
      let directory = "/proc/\(process)/fd"
      for name in (try? DirectoryListing.names(in: directory)) ?? [] {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink("\(directory)/\(name)", &buffer, buffer.count)
        guard count > 0 else { continue }
        let target = String(decoding: buffer[..<count].map(UInt8.init), as: UTF8.self)
        guard target.hasPrefix("socket:["),
          let inode = UInt64(target.dropFirst("socket:[".count).dropLast()),
          inodes.contains(inode), let descriptor = Int32(name)
        else { continue }
        owners[inode, default: []].append(SocketOwner(process: process, descriptor: descriptor))
      }
    }
    return owners
  }
}
