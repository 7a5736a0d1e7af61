import Glibc
import SystemPackage

/// The names in a directory.
package enum DirectoryListing {
  /// All names in `path` but `.` and `..`, sorted; none where the directory does not exist.
  package static func names(in path: String) throws -> [String] {
    guard let directory = opendir(path) else {
      let code = Errno.last
      if code == .noSuchFileOrDirectory { return [] }
      throw SystemError(code, "list", path)
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
