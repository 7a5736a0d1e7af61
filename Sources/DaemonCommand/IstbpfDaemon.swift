import ArgumentParser
import Foundation
import Glibc
import Logging
import Model
import Runner

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

  @Option(help: "The range that every deployment has, a /15.")
  var range: String = AddressPlan.standard.description

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

  @Option(help: "How much is logged: trace, debug, info, notice, warning, error.")
  var logLevel: String = "info"

  /// For the argument parser.
  public init() {}

  /// Runs the daemon.
  public func run() async throws {
    var logger = Logger(label: "istbpfd", factory: BoundedLog.standardError(label:))
    do {
      guard let level = Logger.Level(rawValue: logLevel) else {
        let known = Logger.Level.allCases.map(\.rawValue)
        let near = nearest(to: logLevel, among: known).map { ". Did you mean '\($0)'?" }
        throw ValidationError(
          "'\(logLevel)' is no log level\(near ?? ": there are \(known.joined(separator: ", "))")")
      }
      logger.logLevel = level
      try await Daemon.run(try await configuration(), logger: logger)
    } catch let error as ValidationError {
      throw error
    } catch {
      logger.critical("\(error)")
      throw ExitCode.failure
    }
  }

  private func configuration() async throws -> RunnerConfiguration {
    guard let plan = AddressPlan(cidr: range) else {
      throw ValidationError(
        "'\(range)' is no range: a /15 on its boundary is needed, such as \(AddressPlan.standard)")
    }
    let installation = try Installation.chosen(installation)
    return try await RunnerConfiguration.read(
      file: config, runnerName: runnerName ?? ProcessInfo.processInfo.hostName, plan: plan,
      installation: installation)
  }
}
