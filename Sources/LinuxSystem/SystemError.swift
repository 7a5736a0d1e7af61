import Glibc
import SystemPackage

/// A system call that failed: what it was to do, on what, the kernel's reason and the likely cause.
public struct SystemError: Error, Sendable {
  /// What was to be done, fit to follow "cannot": `mount bpffs on`.
  public let operation: String
  /// What it was to be done to: a path, a name.
  public let object: String
  /// The kernel's reason.
  public let errno: Errno
  /// The likely cause or the remedy, where one is known.
  public let hint: String?

  /// An error from its parts.
  ///
  /// `errno` comes first because arguments are evaluated from left to right: `.last` is read before
  /// building the strings can change it. Without a `hint`, an ordinary user who lacks permission is
  /// asked whether they are root.
  public init(_ errno: Errno, _ operation: String, _ object: String, hint: String? = nil) {
    self.errno = errno
    self.operation = operation
    self.object = object
    let denied = errno == .notPermitted || errno == .permissionDenied
    self.hint = hint ?? (denied && geteuid() != 0 ? "are you root?" : nil)
  }
}

extension SystemError: CustomStringConvertible {
  /// The whole error in one line.
  public var description: String {
    let text = "cannot \(operation) \(object): \(errno)"
    guard let hint else { return text }
    return "\(text) (\(hint))"
  }
}

extension Errno {
  /// The calling thread's `errno`, as the last system call left it.
  public static var last: Errno { Errno(rawValue: Glibc.errno) }
}
