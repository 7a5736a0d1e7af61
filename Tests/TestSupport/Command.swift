import Foundation
import Glibc
import LinuxSystem

/// What a command that has ended left.
public struct CommandResult: Sendable {
  /// Its exit status, or 128 and the number of the signal that ended it.
  public let status: Int32
  /// What it wrote to standard output.
  public let output: String
  /// What it wrote to standard error.
  public let errors: String
}

/// Runs the command `arguments`, found on PATH, to its end.
///
/// Blocks the calling thread. To run a command in a namespace, see `NamespaceLaboratory.run`.
@discardableResult
public func run(_ arguments: String...) throws -> CommandResult { try run(arguments) }

/// Runs the command `arguments`, found on PATH, to its end.
@discardableResult
public func run(_ arguments: [String]) throws -> CommandResult {
  // Files, not pipes: a child that stays in the background may keep them open.
  let (output, errors) = (try TemporaryFile(), try TemporaryFile())
  let nothing = try OwnedDescriptor(opening: "/dev/null")
  let child = try ChildProcess(
    arguments, input: nothing.rawValue, output: output.descriptor.rawValue,
    errors: errors.descriptor.rawValue)
  let status = child.awaitEnd()
  return CommandResult(status: status, output: output.text, errors: errors.text)
}

/// A file without a name, which goes with its descriptor.
final class TemporaryFile: Sendable {
  let descriptor: OwnedDescriptor

  init() throws {
    descriptor = try OwnedDescriptor(
      opening: "/tmp", flags: O_RDWR | O_CLOEXEC | 0o20000000 | O_DIRECTORY, mode: 0o600)
  }

  /// What has been written to it so far.
  var text: String {
    var data = Data()
    withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 1) { buffer in
      while case let count = pread(
        descriptor.rawValue, buffer.baseAddress, buffer.count, off_t(data.count)), count > 0
      { data.append(contentsOf: buffer[..<count]) }
    }
    return String(decoding: data, as: UTF8.self)
  }
}

/// A command that goes on while a test looks at it.
public typealias RunningCommand = Conversation
