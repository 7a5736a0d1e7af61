import Glibc
import LinuxSystem

/// Looks for Unix sockets in a directory and all that is in it, on one file system: some tenths of a second for a
/// developer's /usr, and seconds where the kernel has to read it first.
enum SocketSearch {
  /// More entries than this are not looked at: a container should not take minutes to start. A developer's /usr has
  /// 200,000.
  private static let limit = 1_000_000

  struct TooMuch: Error, CustomStringConvertible {
    let description = "it has over \(SocketSearch.limit) entries"
  }

  /// Their paths relative to `path`, which is the empty one where `path` itself is a socket. Throws
  /// `SystemError` or `TooMuch`.
  static func find(below path: String) throws -> [String] {
    var status = stat()
    guard lstat(path, &status) == 0 else { throw SystemError(.last, "look at", path) }
    if status.st_mode & S_IFMT == S_IFSOCK { return [""] }
    guard status.st_mode & S_IFMT == S_IFDIR else { return [] }
    let device = status.st_dev
    var (found, pending, seen) = ([String](), [""], 0)
    while let next = pending.popLast() {
      let current = next.isEmpty ? path : "\(path)/\(next)"
      guard let directory = opendir(current) else {
        // Gone meanwhile.
        if errno == ENOENT { continue }
        throw SystemError(.last, "list", current)
      }
      defer { closedir(directory) }
      guard fstat(dirfd(directory), &status) == 0 else {
        throw SystemError(.last, "look at", current)
      }
      // Another mount's, which is looked through by itself.
      guard status.st_dev == device else { continue }
      while let entry = readdir(directory) {
        seen += 1
        guard seen <= limit else { throw TooMuch() }
        let type = try type(of: entry, in: directory, current)
        guard type == DT_DIR || type == DT_SOCK else { continue }
        let name = name(of: entry)
        guard name != ".", name != ".." else { continue }
        let place = next.isEmpty ? name : "\(next)/\(name)"
        if type == DT_DIR { pending.append(place) } else { found.append(place) }
      }
    }
    return found
  }

  /// What an entry is; not every file system says so in the directory itself (readdir(3)).
  private static func type(
    of entry: UnsafeMutablePointer<dirent>, in directory: OpaquePointer, _ path: String
  ) throws -> Int {
    guard Int(entry.pointee.d_type) == DT_UNKNOWN else { return Int(entry.pointee.d_type) }
    var status = stat()
    let place = "\(path)/\(name(of: entry))"
    guard fstatat(dirfd(directory), name(of: entry), &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      if errno == ENOENT { return DT_REG }
      throw SystemError(.last, "look at", place)
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR: return DT_DIR
    case S_IFSOCK: return DT_SOCK
    default: return DT_REG
    }
  }

  private static func name(of entry: UnsafeMutablePointer<dirent>) -> String {
    withUnsafeBytes(of: &entry.pointee.d_name) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
