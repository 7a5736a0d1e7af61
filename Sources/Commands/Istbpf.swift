import ArgumentParser
import ControlAPI
import Foundation
import Model

/// The command line.
///
/// Every command says its name: the parser makes each one's for every run, and by the name of its type
/// that costs milliseconds in a binary of this size.
public struct Istbpf: AsyncParsableCommand {
  /// Name, help and subcommands.
  public static let configuration = CommandConfiguration(
    commandName: "istbpf",
    abstract: "Private, encrypted TCP between the services of one deployment.",
    discussion: """
      A service finds WARP_IST_<other service> in its environment, uses it as a host with any TCP \
      port, and reaches the other service. No other deployment and nothing outside can.

      Most commands ask istbpfd; inspect, doctor, report and uninstall work without it.
      """,
    version: istbpfVersion,
    subcommands: [
      Deploy.self, Run.self, Env.self, PS.self, Status.self, Top.self, Observe.self, Explain.self,
      UI.self, Connect.self, Inspect.self, Doctor.self, Report.self, RunnerCommand.self,
      RuntimeCommand.self, CA.self,
      Uninstall.self,
    ])

  /// For the argument parser.
  public init() {}

  /// Does what this process's arguments say.
  ///
  /// Not `main()`: that leaves the main thread, and `run` must be on it, since what it enters (namespaces, filter,
  /// credentials) belongs to the thread that calls exec.
  @MainActor
  public static func runFromCommandLine() async {
    do {
      var command = parsed(Array(CommandLine.arguments.dropFirst()))
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      exit(withError: error)
    }
  }
}

/// The option of every command that says which installation is meant.
struct InstallationOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The installation, where a machine has several. (default: $ISTBPF_INSTALLATION or istbpf)",
      visibility: .hidden))
  var installation: String?

  func chosen() throws -> Installation {
    try failing { try Installation.chosen(installation) }
  }
}

/// The option of every command that prints data.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print JSON.")
  var json = false
}

/// Runs `body`; an error becomes one line on stderr and exit status 1.
func failing<Result>(_ body: () throws -> Result) throws -> Result {
  do { return try body() } catch { throw try failure(error) }
}

/// Runs `body`; an error becomes one line on stderr and exit status 1.
func failing<Result>(_ body: () async throws -> Result) async throws -> Result {
  do { return try await body() } catch { throw try failure(error) }
}

/// Errors of the argument parser have a form and a status of their own.
private func failure(_ error: any Error) throws -> any Error {
  if error is ExitCode || error is ValidationError || error is CleanExit { return error }
  printError("istbpf: \(error)")
  return ExitCode.failure
}

/// Writes a line to stderr.
func printError(_ line: String) {
  FileHandle.standardError.write(Data((line + "\n").utf8))
}

/// Prints `value` as JSON with sorted keys.
func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  print(String(decoding: try encoder.encode(value), as: UTF8.self))
}
