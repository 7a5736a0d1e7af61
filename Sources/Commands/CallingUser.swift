import Foundation
import Glibc
import LinuxSystem

/// Who called a command that runs as root.
enum CallingUser {
  /// The user who called sudo, as SUDO_UID says; nil where root itself did, or nobody is root.
  ///
  /// Whoever can set the variable for a process of root is root, so it is believed. Throws where it
  /// names no user: to go on as root would give a user's file rights that its author has not.
  static func behindSudo(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> Credentials? {
    guard geteuid() == 0, let user = environment["SUDO_UID"], user != "0" else { return nil }
    return try Credentials(lookingUp: user)
  }
}
