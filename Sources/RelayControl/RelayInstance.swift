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

  /// Ends it, and with it the connections that it carries.
  public func end() {
    handle.signal(SIGTERM)
    if !handle.awaitEnd(within: 5000) {
      handle.signal(SIGKILL)
      _ = handle.awaitEnd(within: 5000)
    }
  }
}
