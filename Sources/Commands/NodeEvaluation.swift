import Foundation
import LinuxSystem
import Subprocess
import SystemPackage

/// Evaluates a `warp.config.js` with Node: in a process of its own, as the calling user, within limits
/// of time and output. What the module does beyond giving its value is its author's business: it runs
/// with the caller's own rights, never with those that sudo gave.
enum NodeEvaluation {
  private static let program = "node"
  private static let timeLimit = Duration.seconds(10)
  /// Bytes of JSON.
  private static let outputLimit = 1 << 20

  /// Whether there is a Node on PATH.
  static var isPossible: Bool { Executable.find(program) != nil }

  /// What a module came to.
  struct Value {
    /// JSON.
    let json: Data
    /// The lines, from 1, of the keys that the module itself has written down, by their paths.
    let lines: [String: Int]
  }

  /// The value of the module at `path`, a function's result included.
  ///
  /// Throws `Failure`, with the place and the JavaScript message where the module has one.
  static func value(ofModule path: String) async throws -> Value {
    guard isPossible else {
      throw Failure(
        path: path,
        message: "needs Node, which is not on PATH: install nodejs, or write a "
          + "\(DeclarationFile.dataName) in its place")
    }
    let user = try CallingUser.behindSudo()
    let outcome = try await withThrowingTaskGroup(of: Outcome.self) { group in
      group.addTask { try await run(path, as: user) }
      group.addTask {
        try await Task.sleep(for: timeLimit)
        return Outcome(status: nil, output: [])
      }
      defer { group.cancelAll() }
      return try await group.next() ?? Outcome(status: nil, output: [])
    }
    return try value(of: outcome, path)
  }

  /// What came of Node; no status where the time was over.
  private struct Outcome {
    let status: TerminationStatus?
    let output: [UInt8]
  }

  private static func run(_ path: String, as user: Credentials?) async throws -> Outcome {
    var options = PlatformOptions()
    var environment = Environment.inherit
    if let user {
      (options.userID, options.groupID) = (user.uid, user.gid)
      options.supplementaryGroups = user.supplementaryGroups
      environment = environment.updating(["HOME": user.home, "USER": user.name])
    }
    let file = URL(fileURLWithPath: path).path
    do {
      let result = try await Subprocess.run(
        .name(program), arguments: ["--eval", evaluator, "--", file, path],
        environment: environment,
        // Where a module that reads files beside it expects to be.
        workingDirectory: FilePath((file as NSString).deletingLastPathComponent),
        platformOptions: options, output: .bytes(limit: outputLimit), error: .currentStandardError)
      return Outcome(status: result.terminationStatus, output: result.standardOutput)
    } catch let error as SubprocessError where error.code == .outputLimitExceeded {
      throw Failure(path: path, message: "its value is longer than \(outputLimit) bytes of JSON")
    } catch let error as SubprocessError {
      throw Failure(path: path, message: "cannot run Node: \(error)")
    }
  }

  private static func value(of outcome: Outcome, _ path: String) throws -> Value {
    let output = Data(outcome.output)
    switch outcome.status {
    case nil:
      throw Failure(
        path: path,
        message: "gave no value within \(timeLimit): it loops, or waits for a promise or a timer")
    case .exited(0) where !output.isEmpty:
      // The lines of its keys stand on a line before it.
      let (lines, value) = (output.prefix { $0 != newline }, output.drop { $0 != newline })
      return Value(
        json: Data(value.dropFirst()),
        lines: try JSONDecoder().decode([String: Int].self, from: lines))
    case .exited(failureStatus) where !output.isEmpty:
      throw try JSONDecoder().decode(Failure.self, from: output)
    case .exited(let status)?:
      throw Failure(path: path, message: "gave no value: it ended Node with status \(status)")
    case .signaled(let signal)?:
      throw Failure(path: path, message: "gave no value: signal \(signal) ended Node")
    }
  }

  /// Why a module has no value.
  struct Failure: Error, Decodable, CustomStringConvertible {
    let path: String
    var line: Int?
    let message: String

    var description: String { "\(path)\(line.map { ":\($0)" } ?? ""): \(message)" }
  }

  static let failureStatus: TerminationStatus.Code = 65
  private static let newline = UInt8(ascii: "\n")
}
