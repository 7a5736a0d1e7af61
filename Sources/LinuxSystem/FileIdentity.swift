import Glibc

/// Which file something is, whatever the path: device and inode, as stat(2) has them, symbolic links followed.
public struct FileIdentity: Hashable, Sendable {
  private let device: UInt64
  private let inode: UInt64

  /// The file at `path`; nil where none can be found there.
  public init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
  }

  /// The file of the program that this process runs, also where another one has its path by now; nil where /proc is not
  /// mounted.
  public static var ofThisProgram: FileIdentity? { FileIdentity(of: "/proc/self/exe") }
}
