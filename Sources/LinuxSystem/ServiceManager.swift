import CLinux
import Glibc

/// systemd, where it started this process as a service of `Type=notify` (sd_notify(3)).
///
/// Datagrams to the socket that NOTIFY_SOCKET names are all there is to it. Where there is no such variable, nothing
/// is told to anybody.
public struct ServiceManager: Sendable {
  private let socket: String?
  /// After how long without `.alive` systemd takes this process for hung and ends it; nil where it does not look.
  public let watchdog: Duration?

  /// What systemd is told.
  public enum State: Equatable, Sendable {
    /// The start is over, or a reload.
    case ready
    /// The configuration is read again; ends with `ready`.
    case reloading
    /// The end has begun.
    case stopping
    /// What `watchdog` waits for.
    case alive
    /// A line for people, shown by `systemctl status`.
    case status(String)
  }

  /// The one that `environment` tells of.
  public init(environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }) {
    // Other kinds of addresses (vsock) are for virtual machines.
    socket = environment("NOTIFY_SOCKET").flatMap {
      $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil
    }
    let isOurs = environment("WATCHDOG_PID").map { $0 == "\(getpid())" } ?? true
    watchdog = environment("WATCHDOG_USEC").flatMap { UInt32($0) }
      .flatMap { $0 > 0 && isOurs ? .microseconds(Int64($0)) : nil }
  }

  /// Whether anybody is told.
  public var isThere: Bool { socket != nil }

  /// Tells all of `states` at once. Throws `SystemError` where nobody has that socket any more.
  public func tell(_ states: State...) throws {
    guard let socket else { return }
    let bytes = Array(states.map(\.text).joined(separator: "\n").utf8)
    guard linux_unix_send_datagram(socket, bytes, bytes.count) == 0 else {
      throw SystemError(.last, "tell systemd at", socket)
    }
  }
}

extension ServiceManager.State {
  /// As sd_notify(3) has it.
  var text: String {
    switch self {
    case .ready: "READY=1"
    case .reloading:
      // systemd tells by the time whether READY is the answer to this reload or to one before.
      "RELOADING=1\nMONOTONIC_USEC=\(Self.monotonicMicroseconds())"
    case .stopping: "STOPPING=1"
    case .alive: "WATCHDOG=1"
    case .status(let line):
      "STATUS=\(line.split(whereSeparator: \.isNewline).joined(separator: " "))"
    }
  }

  private static func monotonicMicroseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
  }
}
