import ArgumentParser
import Foundation
import LinuxSystem
import Logging
import Model
import RelayService
import ServiceLog

/// What carries connections between this runner and others, to outside, and from the front door. istbpfd starts it.
public struct IstbpfRelay: AsyncParsableCommand {
  /// Name, help and version.
  public static let configuration = CommandConfiguration(
    commandName: "istbpf-relay",
    abstract: "Carries the connections that leave this runner's fabrics.",
    discussion: """
      istbpfd starts it where it is needed, and tells it what there is. It goes on by that while there is no \
      istbpfd: stopping, killing or upgrading that one interrupts no connection. Ending istbpf-relay ends the \
      connections that it carries, and istbpfd starts another.
      """,
    version: istbpfVersion)

  /// Where another one runs: EX_TEMPFAIL of sysexits.h. The unit does not start it again then.
  private static let heldStatus: Int32 = 75

  @Option(help: "Names directories, pins and namespaces.")
  var installation: String?

  @Option(
    help: "How much is logged: trace, debug, info, notice, warning, error. (default: info)")
  var logLevel: String?

  /// For the argument parser.
  public init() {}

  /// Refuses values that cannot be.
  public func validate() throws {
    if let logLevel, Logger.Level(rawValue: logLevel) == nil {
      throw ValidationError("'\(logLevel)' is no log level")
    }
  }

  /// Runs it.
  public func run() async throws {
    let threshold = LogThreshold(logLevel.flatMap { Logger.Level(rawValue: $0) } ?? .info)
    let recent = RecentLog()
    let logger = Logger(label: "istbpf-relay") {
      BoundedLog.standardError(label: $0, threshold: threshold, recent: recent)
    }
    do {
      try await RelayProcess.run(
        try Installation.chosen(installation), threshold: threshold, recent: recent, logger: logger)
    } catch let error as LockFile.Held {
      logger.critical(
        "another istbpf-relay runs, process \(error.pid.map(String.init) ?? "unknown")")
      throw ExitCode(Self.heldStatus)
    } catch {
      logger.critical("\(error)")
      throw ExitCode.failure
    }
  }
}
