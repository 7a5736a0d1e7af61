import CLinux
import Glibc

/// A process, not its number: that may be another's later. It needs not be a child.
public final class ProcessHandle: Sendable {
  /// Its process id.
  public let processID: pid_t
  private let descriptor: OwnedDescriptor

  /// The process that has this id now; throws `SystemError`, ESRCH where there is none.
  public init(_ processID: pid_t) throws {
    let descriptor = linux_process_open(processID)
    guard descriptor >= 0 else { throw SystemError(.last, "open", "process \(processID)") }
    self.processID = processID
    self.descriptor = OwnedDescriptor(owning: descriptor)
  }

  /// The user that it runs as; nil where it has ended.
  public var user: uid_t? {
    var status = stat()
    guard !hasEnded, stat("/proc/\(processID)", &status) == 0, !hasEnded else { return nil }
    return status.st_uid
  }

  /// Whether it has ended; a child that has is reaped.
  public var hasEnded: Bool { awaitEnd(within: 0) }

  /// Whether it ends within so many milliseconds; a child that does is reaped.
  public func awaitEnd(within milliseconds: Int32) -> Bool {
    guard linux_process_await_end(descriptor.rawValue, milliseconds) > 0 else { return false }
    waitpid(processID, nil, WNOHANG)
    return true
  }

  /// Sends it a signal; nothing where it has ended.
  public func signal(_ number: Int32) { _ = linux_process_signal(descriptor.rawValue, number) }
}
