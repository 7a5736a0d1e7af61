import CLinux
import Glibc
import SystemPackage

/// A file descriptor that is closed exactly once: when its one owner ends.
public struct OwnedDescriptor: ~Copyable, Sendable {
  /// The number, valid as long as this value lives.
  public let rawValue: Int32

  /// Takes over an open descriptor.
  public init(owning rawValue: Int32) { self.rawValue = rawValue }

  /// Opens `path` with close-on-exec; throws `SystemError`.
  public init(opening path: String, flags: Int32 = O_RDONLY, mode: mode_t = 0o600) throws {
    let descriptor = Glibc.open(path, flags | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw SystemError(.last, "open", path) }
    rawValue = descriptor
  }

  /// Opens the directory `path` with close-on-exec; throws `SystemError`.
  public init(directory path: String) throws {
    let descriptor = linux_open_directory(path)
    guard descriptor >= 0 else { throw SystemError(.last, "open directory", path) }
    rawValue = descriptor
  }

  deinit { close(rawValue) }

  /// Gives the descriptor away: the caller closes it.
  public consuming func release() -> Int32 {
    let descriptor = rawValue
    discard self
    return descriptor
  }
}
