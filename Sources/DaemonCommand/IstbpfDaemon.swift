import ArgumentParser
import Foundation
import Glibc
import Logging
import Model
import RelayService
import Runner
import ServiceLog

/// The daemon of a runner.
public struct IstbpfDaemon: AsyncParsableCommand {
  /// Name, help and version.
  public static let configuration = CommandConfiguration(
    commandName: "istbpfd",
    abstract: "Keeps the private network of the deployments on this runner.",
    discussion: """
      Loads the BPF programs, keeps the registry, and answers istbpf on a Unix socket. What it set \
      up goes on without it: stopping, killing or upgrading it interrupts no connection and opens \
      nothing.
      """,
    version: istbpfVersion)

  @Option(help: "The range that every deployment has, a /15. (default: \(AddressPlan.standard))")
  var range: String?

  @Option(help: "The runner's name. (default: the host's)")
  var runnerName: String?

  @Option(
    help: ArgumentHelp(
      "Names directories, cgroup, pins and namespaces.",
      discussion: "Another name makes a second, separate installation on one machine."))
  var installation: String?

  @Option(
    help: ArgumentHelp(
      "The configuration, JSON: metrics, the other runners, the front door.",
      discussion: "Without this it is \(RunnerConfiguration.standardFile), which may be missing."))
  var config: String?

  @Option(
    help: "How much is logged: trace, debug, info, notice, warning, error. (default: info)")
  var logLevel: String?

  @Flag(
    help: ArgumentHelp(
      "Say what is wrong with the configuration, and start nothing.",
      discussion: "Of FILE, or else of the one that would be read. Exit status 1 if something is."))
  var checkConfig = false

  @Argument(help: ArgumentHelp("The file for --check-config.", valueName: "file"))
  var checkedFile: String?

  @Flag(help: ArgumentHelp("Print every key of the configuration, JSON.", visibility: .hidden))
  var dumpConfigurationKeys = false

  /// Refuses values that cannot be.
  public func validate() throws {
    if let range, AddressPlan(cidr: range) == nil {
      throw ValidationError(
        "'\(range)' is no range: a /15 on its boundary is needed, such as \(AddressPlan.standard)")
    }
    if let logLevel, Logger.Level(rawValue: logLevel) == nil {
      let known = Logger.Level.allCases.map(\.rawValue)
      let near = nearest(to: logLevel, among: known).map { ". Did you mean '\($0)'?" }
      throw ValidationError(
        "'\(logLevel)' is no log level\(near ?? ": there are \(known.joined(separator: ", "))")")
    }
  }

  /// For the argument parser.
  public init() {}

  /// Does what this process's arguments say: where it was started under the name istbpf-relay, it is that.
  public static func runFromCommandLine() async {
    let name = CommandLine.arguments.first?.split(separator: "/").last
    guard name == "istbpf-relay" else { return await main() }
    // Others can only have its help.
    do { if geteuid() == 0 { try RelayProcess.restrict() } } catch {
      FileHandle.standardError.write(Data("istbpf-relay: \(error)\n".utf8))
      Glibc.exit(1)
    }
    await IstbpfRelay.main()
  }

  /// Runs the daemon, or only says what is asked about its configuration.
  public func run() async throws {
    // Not in `validate`, which comes before options are found to be unknown.
    guard checkedFile == nil || (checkConfig && config == nil) else {
      throw ValidationError("Unexpected argument '\(checkedFile ?? "")'")
    }
    if dumpConfigurationKeys { return try printKeys() }
    let options = RunnerConfiguration.Options(
      runnerName: runnerName, range: range, logLevel: logLevel)
    if checkConfig { return try await check(options) }
    let (threshold, recent) = (LogThreshold(), RecentLog())
    let logger = Logger(label: "istbpfd") {
      BoundedLog.standardError(label: $0, threshold: threshold, recent: recent)
    }
    do {
      let installation = try Installation.chosen(installation)
      let read = { @Sendable [config] in
        try await RunnerConfiguration.read(
          file: config, options: options, installation: installation)
      }
      let configuration = try await read()
      threshold.level = configuration.logLevel
      try await Daemon.run(
        configuration, threshold: threshold, recent: recent, logger: logger, reread: read)
    } catch {
      logger.critical("\(error)")
      throw ExitCode.failure
    }
  }

  private func check(_ options: RunnerConfiguration.Options) async throws {
    let file = checkedFile ?? config
    let path = file ?? RunnerConfiguration.standardFile
    let problems = await RunnerConfiguration.problems(
      file: file, options: options, installation: try Installation.chosen(installation))
    for problem in problems {
      FileHandle.standardError.write(Data("istbpfd: \(problem)\n".utf8))
    }
    guard problems.isEmpty else { throw ExitCode.failure }
    let exists = FileManager.default.fileExists(atPath: path)
    print(exists ? "\(path) is as it should be" : "there is no \(path): every key has its default")
  }

  private func printKeys() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(ConfigurationKeys.all), as: UTF8.self))
  }
}
