import CLinux
import Glibc

/// The file of a Unix socket that was bound to one, wherever that is by now.
public struct SocketFile: Sendable {
  /// Its path without links, in the mount namespace of the caller; nil where it has none there.
  public let path: String?
  /// How many names it has; 0 where it was removed, so that nobody can connect to it any more.
  public let links: Int

  /// The file of the socket with this inode number, as /proc/net/unix has it, by one of its owners. Throws
  /// `SystemError`: ESRCH or EBADF where the owner has it no more, EPERM where this process may not look.
  public init(of inode: UInt64, by owner: SocketOwner) throws {
    let descriptor = linux_unix_bound_file(owner.process, owner.descriptor, inode)
    guard descriptor >= 0 else {
      throw SystemError(.last, "open", "the file of a Unix socket of process \(owner.process)")
    }
    let file = OwnedDescriptor(owning: descriptor)
    var status = stat()
    guard fstat(file.rawValue, &status) == 0 else {
      throw SystemError(.last, "look at", "the file of a Unix socket")
    }
    links = Int(status.st_nlink)
    path = links == 0 ? nil : Self.path(of: file, status)
  }

  /// What the kernel says is the path in the mount that it was bound in, which may be another namespace's, or lie below
  /// another mount.
  private static func path(of file: borrowing OwnedDescriptor, _ status: stat) -> String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/fd/\(file.rawValue)", &buffer, buffer.count)
    guard count > 0, count < buffer.count else { return nil }
    let path = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    var found = stat()
    guard lstat(path, &found) == 0, found.st_dev == status.st_dev, found.st_ino == status.st_ino
    else { return nil }
    return path
  }
}
