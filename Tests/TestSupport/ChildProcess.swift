import Glibc
import LinuxSystem
import Synchronization
import SystemPackage

/// A process that this one started and waits for.
///
/// Not Foundation's: that learns of a child's end from a descriptor which the child inherits and
/// `istbpf run` closes, and then its one thread for all children waits for that child.
public final class ChildProcess: Sendable {
  /// Its process id.
  public let processID: pid_t
  private let status = Mutex<Int32?>(nil)

  /// Starts the command `arguments`, found on PATH, with these descriptors and those of this process
  /// that are not closed on exec.
  init(_ arguments: [String], input: Int32, output: Int32, errors: Int32) throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (number, descriptor) in [(Int32(0), input), (1, output), (2, errors)] {
      posix_spawn_file_actions_adddup2(&actions, descriptor, number)
    }
    var words: [UnsafeMutablePointer<CChar>?] = (["env"] + arguments).map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    // env(1) takes variables before the command.
    let result = posix_spawn(&process, "/usr/bin/env", &actions, nil, words, environ)
    guard result == 0 else {
      throw SystemError(Errno(rawValue: result), "start", arguments.joined(separator: " "))
    }
    processID = process
  }

  /// Whether it has not ended.
  public var isRunning: Bool { wait(WNOHANG) == nil }

  /// Waits for its end: its exit status, or 128 and the number of the signal that ended it.
  @discardableResult
  public func awaitEnd() -> Int32 {
    while true {
      if let status = wait(WNOHANG) { return status }
      usleep(1000)
    }
  }

  /// Sends it a signal, unless it has ended and its id may be another's.
  public func signal(_ number: Int32) {
    status.withLock { if $0 == nil { _ = kill(processID, number) } }
  }

  private func wait(_ options: Int32) -> Int32? {
    status.withLock { status in
      if status != nil { return status }
      var word: Int32 = 0
      guard waitpid(processID, &word, options) == processID else { return nil }
      let signal = word & 0x7f
      status = signal == 0 ? word >> 8 & 0xff : 128 + signal
      return status
    }
  }
}
