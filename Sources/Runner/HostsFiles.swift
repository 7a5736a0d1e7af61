import Foundation
import Glibc
import LinuxSystem
import Model

/// Writes the instances' hosts files: whole where nobody reads them yet, and else in place, so that a reader
/// never finds one torn (`HostsFile.change`).
struct HostsFiles {
  /// How long the slowest reader takes from a file's beginning to its end, by the widest margin: a line that
  /// says something old stays as long beside the new one, and room is not used again sooner.
  static let reading = Duration.seconds(1)

  /// The lines of one file, by their offsets.
  private struct Lines {
    /// Since when they say what they should not.
    var outdated: [Int: ContinuousClock.Instant] = [:]
    /// Since when they say nothing.
    var silenced: [Int: ContinuousClock.Instant] = [:]
  }

  private var files: [String: Lines] = [:]

  /// Makes a file that nobody reads yet; throws `SystemError`.
  mutating func make(_ path: String, base: String, _ entries: [HostsFile.Entry]) throws {
    files[path] = nil
    let directory = (path as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let text = HostsFile.text(base: base, entries: entries)
    guard unlink(path) == 0 || errno == ENOENT else { throw SystemError(.last, "remove", path) }
    let file = try OwnedDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o644)
    try Self.write(Array(text.utf8), at: 0, to: file, path)
  }

  /// Makes a file say `entries`; nothing of ours but these, once `reading` has passed and this is called
  /// again. Returns whether it must be. Throws `SystemError`.
  mutating func update(_ path: String, _ entries: [HostsFile.Entry]) throws -> Bool {
    let now = ContinuousClock.now
    var lines = files[path] ?? Lines()
    let contents = try SmallFile.bytes(of: path)
    let change = HostsFile.change(contents, to: entries) { offset in
      lines.silenced[offset].map { now - $0 >= Self.reading } ?? true
    }
    let outdated = Set(change.outdated)
    lines.outdated = lines.outdated.filter { outdated.contains($0.key) }
    for offset in outdated where lines.outdated[offset] == nil { lines.outdated[offset] = now }
    // Not in this call, where they have only now become so.
    let due = lines.outdated.filter { now - $0.value >= Self.reading }.keys
    guard !change.writes.isEmpty || !due.isEmpty else {
      files[path] = lines
      return !outdated.isEmpty
    }
    let file = try OwnedDescriptor(opening: path, flags: O_WRONLY)
    for write in change.writes { try Self.write(write.octets, at: write.offset, to: file, path) }
    for write in change.writes { lines.silenced[write.offset] = nil }
    for offset in due {
      try Self.write(HostsFile.silenced, at: offset, to: file, path)
      lines.outdated[offset] = nil
      lines.silenced[offset] = now
    }
    files[path] = lines
    return !lines.outdated.isEmpty
  }

  /// Forgets a file that is no more.
  mutating func forget(_ path: String) { files[path] = nil }

  private static func write(
    _ octets: [UInt8], at offset: Int, to file: borrowing OwnedDescriptor, _ path: String
  ) throws {
    let count = pwrite(file.rawValue, octets, octets.count, off_t(offset))
    guard count == octets.count else {
      throw count < 0
        ? SystemError(.last, "write", path) : SystemError(.noSpace, "write", path)
    }
  }
}
