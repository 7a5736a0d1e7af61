import Foundation

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
/// Blocks the calling thread. Do not call it inside `NetworkNamespace.perform`: Foundation starts
/// threads. To run a command in a namespace, see `NamespaceLaboratory.run`.
@discardableResult
public func run(_ arguments: String...) throws -> CommandResult { try run(arguments) }

/// Runs the command `arguments`, found on PATH, to its end.
@discardableResult
public func run(_ arguments: [String]) throws -> CommandResult {
  let process = Process()
  let (output, errors) = (Pipe(), Pipe())
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = arguments
  process.standardInput = FileHandle.nullDevice
  process.standardOutput = output
  process.standardError = errors
  try process.run()
  // Each pipe has its reader, so that neither can fill up while the other is read.
  let reader = DispatchQueue(label: "standard error")
  nonisolated(unsafe) var errorData = Data()
  let group = DispatchGroup()
  reader.async(group: group) { errorData = errors.fileHandleForReading.readDataToEndOfFile() }
  let outputData = output.fileHandleForReading.readDataToEndOfFile()
  group.wait()
  process.waitUntilExit()
  let isSignal = process.terminationReason == .uncaughtSignal
  return CommandResult(
    status: process.terminationStatus + (isSignal ? 128 : 0),
    output: String(decoding: outputData, as: UTF8.self),
    errors: String(decoding: errorData, as: UTF8.self))
}

/// A command that goes on while a test looks at it.
public final class RunningCommand: @unchecked Sendable {
  // Safe because Foundation guards what is used of these from several threads.
  private let process = Process()
  private let output = Pipe()

  /// Starts the command `arguments`, found on PATH.
  public init(_ arguments: [String]) throws {
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    try process.run()
  }

  /// Its process id, which env(1) passes on to the command.
  public var processID: Int32 { process.processIdentifier }

  /// Waits until it has written a line, such as that it is ready, and returns that; what there is
  /// where it has ended before.
  public func awaitLine() -> String {
    var line = Data()
    while let byte = try? output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty,
      byte.first != UInt8(ascii: "\n")
    { line.append(byte) }
    return String(decoding: line, as: UTF8.self)
  }

  /// Kills it and waits for its end.
  public func stop() {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }

  deinit { stop() }
}
