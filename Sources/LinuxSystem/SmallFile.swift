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

  /// Replaces the file at `path` in one step, so that no reader and no crash finds half of it. Owner and mode
  /// stay; a file that is not there gets `mode`, and without one that is ENOENT. Throws `SystemError`.
  public static func replace(_ path: String, with contents: [UInt8], mode: mode_t? = nil) throws {
    var status = stat()
    if stat(path, &status) != 0 {
      guard errno == ENOENT, let mode else { throw SystemError(.last, "look at", path) }
      (status.st_uid, status.st_gid, status.st_mode) = (geteuid(), getegid(), mode)
    }
    let new = "\(path).istbpf-\(getpid())"
    let file = try OwnedDescriptor(opening: new, flags: O_WRONLY | O_CREAT | O_EXCL)
    do {
      guard fchown(file.rawValue, status.st_uid, status.st_gid) == 0,
        fchmod(file.rawValue, status.st_mode & 0o7777) == 0
      else { throw SystemError(.last, "set owner and mode of", new) }
      var rest = contents[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(file.rawValue, $0.baseAddress, $0.count) }
        guard count > 0 else { throw SystemError(.last, "write", new) }
        rest = rest.dropFirst(count)
      }
      guard rename(new, path) == 0 else { throw SystemError(.last, "replace", path) }
    } catch {
      unlink(new)
      throw error
    }
  }

  /// Whether `path` exists, whatever it is.
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
