import Glibc
import SystemPackage

/// A lock that one process holds and that ends with it, however it ends; the file says who holds it.
public struct LockFile: ~Copyable, Sendable {
  /// Somebody else holds the lock.
  public struct Held: Error, Hashable, Sendable {
    /// The file.
    public let path: String
    /// The process that holds it, as the file says.
    public let pid: pid_t?
  }

  private let descriptor: OwnedDescriptor

  /// Takes the lock at `path`, a file that is made where there is none.
  ///
  /// - Throws: `Held`, or `SystemError`.
  public init(path: String) throws {
    let descriptor = try OwnedDescriptor(opening: path, flags: O_RDWR | O_CREAT, mode: 0o644)
    guard flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 else {
      guard Errno.last == .wouldBlock else { throw SystemError(.last, "lock", path) }
      let text = try SmallFile.read(path)
      throw Held(path: path, pid: pid_t(text.prefix { $0.isNumber }))
    }
    let text = "\(getpid())\n"
    guard ftruncate(descriptor.rawValue, 0) == 0,
      pwrite(descriptor.rawValue, text, text.utf8.count, 0) == text.utf8.count
    else { throw SystemError(.last, "write", path) }
    self.descriptor = descriptor
  }

  /// Whether some process holds the lock at `path` (proc_locks(5)). Looking takes no lock, which would be in the way of
  /// who takes it just then. False where there is no such file, and on file systems of which the kernel names another
  /// device there than stat(2) does, as btrfs; on tmpfs, as /run is, it is the same. Throws `SystemError`.
  public static func isHeld(_ path: String) throws -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { return false }
    // "1: FLOCK  ADVISORY  WRITE 1234 00:17:5678 0 EOF": device, in hexadecimal digits, and inode.
    // makedev(3) puts them together so.
    let device = UInt64(status.st_dev)
    let major = device >> 8 & 0xfff | device >> 32 & ~0xfff
    let minor = device & 0xff | device >> 12 & ~0xff
    let file = [major, minor, UInt64(status.st_ino)]
    return try SmallFile.read("/proc/locks").split(separator: "\n").contains { line in
      let words = line.split(separator: " ")
      guard words.count > 5, words[1] == "FLOCK" else { return false }
      let numbers = words[5].split(separator: ":")
      return numbers.count == 3
        && zip(numbers, [16, 16, 10]).map { UInt64($0, radix: $1) } == file
    }
  }
}
