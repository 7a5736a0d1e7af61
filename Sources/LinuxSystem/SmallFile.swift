import Glibc
import SystemPackage

/// Whole small files, as /proc, sysctls and cgroupfs are made of.
public enum SmallFile {
  /// The contents of `path`; throws `SystemError`. Bytes that are not UTF-8 are replaced.
  public static func read(_ path: String) throws -> String {
    String(decoding: try bytes(of: path), as: UTF8.self)
  }

  /// The contents of `path`, as they are; throws `SystemError`.
  public static func bytes(of path: String) throws -> [UInt8] {
    let file = try OwnedDescriptor(opening: path)
    var contents: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = Glibc.read(file.rawValue, &buffer, buffer.count)
      if count < 0 {
        if Errno.last == .interrupted { continue }
        throw SystemError(.last, "read", path)
      }
      if count == 0 { return contents }
      contents.append(contentsOf: buffer[..<count])
    }
  }

  /// Writes `contents` in one write(2), as cgroupfs and sysctls want it, to a file that exists;
  /// throws `SystemError`.
  public static func write(_ contents: String, to path: String, hint: String? = nil) throws {
    let file = try OwnedDescriptor(opening: path, flags: O_WRONLY)
    let bytes = Array(contents.utf8)
    while Glibc.write(file.rawValue, bytes, bytes.count) != bytes.count {
      if Errno.last == .interrupted { continue }
      throw SystemError(.last, "write \"\(contents)\" to", path, hint: hint)
    }
  }

  /// Whether `path` exists, whatever it is.
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
