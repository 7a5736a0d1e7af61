import Glibc
import LinuxSystem
import Model

/// The istbpf-relay of an installation that runs: it outlives istbpfd.
public struct RelayInstance: Sendable {
  private let handle: ProcessHandle
  /// Its process id.
  public var processID: pid_t { handle.processID }

  /// The one that runs; nil where none does.
  public static func running(_ installation: Installation) -> RelayInstance? {
    guard let process = UnixSocket.listener(at: installation.relaySocketPath),
      let handle = try? ProcessHandle(process), handle.user == 0
    else { return nil }
    return RelayInstance(handle: handle)
  }

  /// That one, and those that have left their place and carry something still.
  public static func all(_ installation: Installation) -> [RelayInstance] {
    let left = leaving(installation).compactMap { process in
      (try? ProcessHandle(process)).map(RelayInstance.init)
    }
    return (running(installation).map { [$0] } ?? []) + left
  }

  /// The process ids of those that have left their place and carry something still, in ascending order: each holds a file
  /// of its own.
  public static func leaving(_ installation: Installation) -> [pid_t] {
    let directory = installation.relayDirectory
    let names = (try? DirectoryListing.names(in: directory)) ?? []
    return names.compactMap { name in
      guard name.hasPrefix(leavingPrefix), let process = pid_t(name.dropFirst(leavingPrefix.count)),
        (try? LockFile.isHeld("\(directory)/\(name)")) == true
      else { return nil }
      return process
    }.sorted()
  }

  /// The file that this process holds while it has left its place.
  public static func leavingPath(_ installation: Installation) -> String {
    "\(installation.relayDirectory)/\(leavingPrefix)\(getpid())"
  }

  private static let leavingPrefix = "leaving."

  /// Ends it, and with it the connections that it carries.
  public func end() {
    handle.signal(SIGTERM)
    if !handle.awaitEnd(within: 5000) {
      handle.signal(SIGKILL)
      _ = handle.awaitEnd(within: 5000)
    }
  }
}
