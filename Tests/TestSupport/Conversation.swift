import Foundation
import Glibc
import LinuxSystem
import Synchronization

/// A command that goes on while a test looks at it, and may answer lines with lines.
public final class Conversation: Sendable {
  private let child: ChildProcess
  private let descriptor: OwnedDescriptor
  private let errors: TemporaryFile
  private let unread = Mutex(Data())

  /// An answer that did not come, or another than was expected.
  public struct Silence: Error, CustomStringConvertible {
    /// What was waited for, and what the command wrote to standard error.
    public let description: String
  }

  /// Starts the command `arguments`, found on PATH; words NAME=VALUE before it are variables.
  public init(_ arguments: [String]) throws {
    // One socket is its input and output: unlike pipe(), this closes on exec from the beginning.
    var ends: [Int32] = [0, 0]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0
    else { throw SystemError(.last, "make", "a pair of sockets") }
    descriptor = OwnedDescriptor(owning: ends[0])
    errors = try TemporaryFile()
    let childEnd = OwnedDescriptor(owning: ends[1])
    child = try ChildProcess(
      arguments, input: childEnd.rawValue, output: childEnd.rawValue,
      errors: errors.descriptor.rawValue)
  }

  /// Its process id, which env(1) passes on to the command.
  public var processID: Int32 { child.processID }

  /// Whether it has not ended.
  public var isRunning: Bool { child.isRunning }

  /// What it has written to standard error so far.
  public var errorText: String { errors.text }

  /// Says a line and returns the one that it answers.
  public func ask(_ line: String, patience: Double = 60) throws -> String {
    try say(line)
    return try nextLine(patience: patience)
  }

  /// Says a line; `nextLine` is what it answers.
  public func say(_ line: String) throws {
    let bytes = Array((line + "\n").utf8)
    guard write(descriptor.rawValue, bytes, bytes.count) == bytes.count else {
      throw Silence(description: "listens no more: \(errorText)")
    }
  }

  /// The next line of standard output, such as that it is ready; empty where it has ended.
  public func awaitLine() -> String { (try? nextLine()) ?? "" }

  /// The next line of standard output; throws `Silence` if it ends or says nothing for `patience`
  /// seconds.
  public func nextLine(patience: Double = 30) throws -> String {
    try unread.withLock { unread in
      while true {
        if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
          defer { unread = Data(unread[(end + 1)...]) }
          return String(decoding: unread[..<end], as: UTF8.self)
        }
        var poll = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, Int32(patience * 1000)) > 0 else {
          throw Silence(description: "nothing said for \(patience) s: \(errorText)")
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor.rawValue, &buffer, buffer.count)
        guard count > 0 else {
          throw Silence(description: "ended with \(child.awaitEnd()): \(errorText)")
        }
        unread.append(contentsOf: buffer[..<count])
      }
    }
  }

  /// Sends it a signal.
  public func signal(_ number: Int32) { child.signal(number) }

  /// Waits for its end: its exit status, or 128 and the number of the signal that ended it.
  public func awaitEnd() -> Int32 { child.awaitEnd() }

  /// Kills it and waits for its end.
  public func stop() {
    child.signal(SIGKILL)
    child.awaitEnd()
  }

  deinit { stop() }
}
