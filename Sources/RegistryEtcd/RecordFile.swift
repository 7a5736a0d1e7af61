import Foundation
import Glibc
import Registry

/// A record in a file that is replaced as a whole: a crash leaves the old one or the new one.
struct RecordFile<Content: Record>: Sendable {
  let path: String

  /// What the file holds; nil if there is none.
  ///
  /// - Throws: `RegistryError.corrupt` and `.unavailable`.
  func load() throws -> Content? {
    guard access(path, F_OK) == 0 || errno != ENOENT else { return nil }
    let data: Data
    do { data = try Data(contentsOf: URL(filePath: path)) } catch {
      throw RegistryError.unavailable(file: path, detail: "\(error)")
    }
    do { return try RecordCoding.decode(from: data) } catch let error as UnreadableRecord {
      throw RegistryError.unreadable(key: path, detail: error.detail)
    }
  }

  /// Replaces what the file holds; it is on the disk when this returns.
  ///
  /// - Throws: `RegistryError.full`.
  func save(_ content: Content) throws {
    let temporary = path + ".new"
    let data = try RecordCoding.encode(content)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("open") }
    do {
      defer { close(descriptor) }
      try data.withUnsafeBytes { bytes in
        var rest = bytes[...]
        while !rest.isEmpty {
          let count = write(
            descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
          guard count > 0 || errno == EINTR else { throw failure("write") }
          rest = rest.dropFirst(max(count, 0))
        }
      }
      guard fsync(descriptor) == 0 else { throw failure("fsync") }
    }
    guard rename(temporary, path) == 0 else { throw failure("rename") }
    try syncDirectory()
  }

  /// The new name has to last as well.
  private func syncDirectory() throws {
    let directory = URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false)
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open the directory") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure("fsync the directory") }
  }

  private func failure(_ operation: String) -> RegistryError {
    .full(file: path, detail: "\(operation): \(String(cString: strerror(errno)))")
  }
}
