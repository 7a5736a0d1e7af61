import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// HAProxy's master process, which this daemon started or an earlier one did: it outlives the daemon.
struct ProxyProcess: Sendable {
  private let handle: ProcessHandle
  var processID: pid_t { handle.processID }
  var hasEnded: Bool { handle.hasEnded }

  /// The one that listens at the master's socket and is HAProxy's user's; nil where there is none.
  static func running(_ paths: FrontDoorPaths) -> ProxyProcess? {
    guard let process = UnixSocket.listener(at: paths.masterSocket),
      // Without the user HAProxy cannot be started either, and that is told.
      let user = try? Credentials(lookingUp: FrontDoorSettings.user),
      let handle = try? ProcessHandle(process), handle.user == user.uid
    else { return nil }
    return ProxyProcess(handle: handle)
  }

  /// Starts it with the current configuration: in a session of its own, as an ordinary user with no
  /// other right than to take ports below 1024. Throws `SystemError`.
  static func start(_ paths: FrontDoorPaths) throws -> ProxyProcess {
    let process = try spawn(
      unprivileged([
        FrontDoorSettings.program, "-W", "-S", "\(paths.masterSocket),mode,600", "-f",
        "\(paths.current)/haproxy.cfg",
      ]))
    return ProxyProcess(handle: try ProcessHandle(process))
  }

  /// Ends it, and with it the connections that it has.
  func end() {
    handle.signal(SIGTERM)
    if !handle.awaitEnd(within: 5000) {
      handle.signal(SIGKILL)
      _ = handle.awaitEnd(within: 5000)
    }
  }

  /// What HAProxy says of a configuration file; nil where it takes it. Throws `SystemError`.
  static func objection(to configuration: String, log: String) throws -> String? {
    let process = try ProcessHandle(
      spawn(unprivileged([FrontDoorSettings.program, "-c", "-f", configuration]), output: log))
    guard process.awaitEnd(within: 30_000) else {
      process.signal(SIGKILL)
      return "its check of \(configuration) did not end"
    }
    // The status went with the reaping; HAProxy ends its check with these words where all is well.
    let text = try SmallFile.read(log)
    guard !text.contains("Configuration file is valid") else { return nil }
    let alerts = text.split(separator: "\n").filter { $0.contains("[ALERT]") }
    return alerts.isEmpty ? text : alerts.joined(separator: "; ")
  }

  private static func unprivileged(_ command: [String]) -> [String] {
    let capabilities = "-all,+net_bind_service"
    return [
      "/usr/bin/setpriv", "--reuid", FrontDoorSettings.user, "--regid", FrontDoorSettings.user,
      "--clear-groups", "--inh-caps", capabilities, "--ambient-caps", capabilities,
      "--bounding-set", capabilities, "--no-new-privs",
    ] + command
  }

  /// Starts a command whose messages go where this process's go, or to the file `output`.
  private static func spawn(_ command: [String], output: String? = nil) throws -> pid_t {
    try DetachedProcess.start(command[0], command, output: output)
  }
}
