import Foundation
import Glibc
import LinuxSystem
import Synchronization

/// The last lines of the log, in a file below the runtime directory: for `istbpf report` on a machine without a
/// journal, also when the daemon has crashed. The file is begun anew when it is full; the one before it stays.
public final class RecentLog: Sendable {
  /// Bytes of each of the two files.
  static let capacity = 512 << 10

  private struct State: ~Copyable {
    var path: String?
    var file: OwnedDescriptor?
    var size = 0
    /// Lines from before there was a file.
    var early: [String] = []
  }

  private let state = Mutex(State())

  /// Keeps lines in memory, until `keep`.
  public init() {}

  /// Writes to the file `path` from now on, mode 0600. Where that cannot be, nothing is kept.
  public func keep(in path: String) {
    state.withLock { state in
      state.path = path
      var status = stat()
      state.size = stat(path, &status) == 0 ? Int(status.st_size) : 0
      state.file = try? OwnedDescriptor(
        opening: path, flags: O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode: 0o600)
      for line in state.early { Self.write(line, &state) }
      state.early = []
    }
  }

  /// Adds a line, with the time. Never fails: a log of a log has nowhere to say so.
  func add(_ text: String) {
    let line = "\(Date().formatted(.iso8601)) \(text)\n"
    state.withLock { state in
      guard state.path != nil else {
        if state.early.count < 1000 { state.early.append(line) }
        return
      }
      Self.write(line, &state)
    }
  }

  private static func write(_ line: String, _ state: inout State) {
    if state.size > capacity, let path = state.path {
      rename(path, path + ".1")
      state.file = try? OwnedDescriptor(
        opening: path, flags: O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode: 0o600)
      state.size = 0
    }
    guard let descriptor = state.file?.rawValue else { return }
    var line = line
    state.size += line.withUTF8 { max(0, Glibc.write(descriptor, $0.baseAddress, $0.count)) }
  }
}
