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

  /// The value of the module at `path`, a function's result included, as JSON.
  ///
  /// Throws `Failure`, with the place and the JavaScript message where the module has one.
  static func json(ofModule path: String) async throws -> Data {
    guard isPossible else {
      throw Failure(
        path: path,
        message: "needs Node, which is not on PATH: install nodejs, or write a "
          + "\(ConfigurationFile.dataName) in its place")
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

  private static func value(of outcome: Outcome, _ path: String) throws -> Data {
    let output = Data(outcome.output)
    switch outcome.status {
    case nil:
      throw Failure(path: path, message: "gave no value within \(timeLimit)")
    case .exited(0) where !output.isEmpty: return output
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

  private static let failureStatus: TerminationStatus.Code = 65

  /// The program that Node runs: its standard output is the value, or the failure, and nothing else.
  private static let evaluator = """
    const [, file, shown] = process.argv
    const write = process.stdout.write.bind(process.stdout)
    // What the module prints is for its author, and no part of its value.
    process.stdout.write = process.stderr.write.bind(process.stderr)
    const end = (text, status) => write(text, () => process.exit(status))

    const needed = 'it must be a CommonJS module: module.exports = {...}'

    function fail(error) {
      const lines = String(error?.stack).split('\\n')
      // A syntax error's stack begins with its place; another's first frame is one, or Node's own.
      const place = /^\\/.*:\\d+$/.test(lines[0])
        ? lines[0]
        : lines.find((line) => /^ +at .*\\/.*:\\d+:\\d+\\)?$/.test(line) && !/[( ]node:/.test(line))
      const [, path, line] = /(\\/.*?):(\\d+)(:\\d+)?\\)?$/.exec(place ?? '') ?? []
      const isError = error instanceof Error
      let message = isError ? `${error.name}: ${error.message}` : `threw ${JSON.stringify(error)}`
      if (error instanceof SyntaxError && /\\b(export|import)\\b/.test(error.message))
        message += `; ${needed}`
      end(JSON.stringify({
        path: !path || path === real ? shown : path,
        line: line && Number(line),
        message: message.split('\\n')[0],
      }), \(failureStatus))
    }

    let real = file
    process.on('uncaughtException', fail)
    ;(async () => {
      real = require('node:fs').realpathSync(file)
      const exported = require(file)
      // Newer Nodes load it all the same, but its value is not what the platform takes.
      if (exported?.[Symbol.toStringTag] === 'Module') throw new TypeError(needed)
      const value = await (typeof exported === 'function' ? exported() : exported)
      const text = JSON.stringify(value)
      if (text === undefined) throw new TypeError(`${typeof value} is no object`)
      end(text, 0)
    })().catch(fail)
    """
}
