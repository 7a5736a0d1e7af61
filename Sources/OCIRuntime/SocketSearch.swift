import Glibc
import LinuxSystem

/// Looks for Unix sockets in a directory and all that is in it, on one file system.
enum SocketSearch {
  /// More entries than this are not looked at: a container should not take minutes to start.
  private static let limit = 200_000

  struct TooMuch: Error, CustomStringConvertible {
    let description = "it has over \(SocketSearch.limit) entries"
  }

  /// Their paths relative to `path`, which is the empty one where `path` itself is a socket. Throws
  /// `SystemError` or `TooMuch`.
  static func find(below path: String) throws -> [String] {
    var first = stat()
    guard lstat(path, &first) == 0 else { throw SystemError(.last, "look at", path) }
    var (found, pending, seen) = ([String](), [""], 0)
    while let next = pending.popLast() {
      let current = next.isEmpty ? path : "\(path)/\(next)"
      var status = stat()
      guard lstat(current, &status) == 0 else {
        // Gone meanwhile.
        if errno == ENOENT { continue }
        throw SystemError(.last, "look at", current)
      }
      seen += 1
      guard seen <= limit else { throw TooMuch() }
      switch status.st_mode & S_IFMT {
      case S_IFSOCK: found.append(next)
      case S_IFDIR where status.st_dev == first.st_dev:
        pending += try DirectoryListing.names(in: current).map {
          next.isEmpty ? $0 : "\(next)/\($0)"
        }
      default: break
      }
    }
    return found
  }
}
