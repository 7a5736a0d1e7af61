import Foundation
import Glibc
import LinuxSystem
import Model

/// The services as which systemd keeps istbpf-relay, `istbpf-relay@1` and so on (Packaging/systemd): one, and others while
/// they pass on to it what they carry.
struct RelayUnits: Sendable {
  /// What systemctl(1) says is written there.
  private let output: String

  /// How many there may be at once.
  private static let numbers = 1...16
  /// What they start.
  private static let program = "/usr/sbin/istbpf-relay"
  /// How long one command may take, in milliseconds.
  private static let patience: Int32 = 10_000

  /// What has become of a start.
  enum Outcome {
    /// systemd has started it; the process is nil where it has ended already, as where another one had its place.
    case started(ProcessHandle?)
    /// There is no such unit, as where another package has put istbpfd there, or what it would start is not this program,
    /// as after an upgrade for which istbpfd has not been started again yet.
    case notKept
  }

  /// Nil where systemd does not keep this istbpfd: it runs then as a service of the standard installation, which is the one
  /// that the units are for.
  init?(_ installation: Installation) {
    guard ServiceManager().isThere, installation == .standard,
      access("/run/systemd/system", F_OK) == 0
    else { return nil }
    output = "\(installation.runtimeDirectory)/systemctl"
  }

  /// Starts one that does not run. Throws what systemd says against it.
  func start() throws -> Outcome {
    guard let own = FileIdentity.ofThisProgram, FileIdentity(of: Self.program) == own else {
      return .notKept
    }
    let units = Self.numbers.map { "istbpf-relay@\($0).service" }
    let all = try say(["show", "--property=Id,LoadState,ActiveState"] + units)
      .components(separatedBy: "\n\n").map(Self.properties)
      .filter { $0["LoadState"] == "loaded" }
    guard !all.isEmpty else { return .notKept }
    // First one that systemd is about to start again: two would be in each other's way.
    let states = ["activating", "inactive", "failed"]
    let free = states.lazy.compactMap { state in all.first { $0["ActiveState"] == state } }.first
    guard let unit = free?["Id"] else {
      throw RunnerError.noRelay("all of istbpf-relay@1 to istbpf-relay@\(units.count) run")
    }
    let said: String
    do { said = try say(["start", unit]) } catch {
      // It must not begin later, beside the one that istbpfd starts then.
      _ = try? say(["--no-block", "stop", unit])
      throw error
    }
    let process =
      Self.properties(try say(["show", "--property=MainPID", unit]))["MainPID"]
      .flatMap { pid_t($0) } ?? 0
    // Nil where it has ended already, which shows as it does not listen.
    if process > 0 { return .started(try? ProcessHandle(process)) }
    // A warning, as that the unit's file has changed, may come with one that has begun.
    guard said.isEmpty else { throw RunnerError.noRelay("systemctl start \(unit): \(said)") }
    return .started(nil)
  }

  private static let systemctl = "/usr/bin/systemctl"

  /// What systemctl prints. Throws where it does not end.
  private func say(_ arguments: [String]) throws -> String {
    let process = try ProcessHandle(
      DetachedProcess.start(Self.systemctl, ["systemctl"] + arguments, output: output))
    guard process.awaitEnd(within: Self.patience) else {
      process.signal(SIGKILL)
      _ = process.awaitEnd(within: 1000)
      throw RunnerError.noRelay("systemctl \(arguments[0]) does not end")
    }
    return try SmallFile.read(output)
  }

  /// The lines NAME=VALUE.
  private static func properties(_ text: String) -> [String: String] {
    Dictionary(
      text.split(separator: "\n").compactMap { line in
        line.firstIndex(of: "=").map {
          (String(line[..<$0]), String(line[line.index(after: $0)...]))
        }
      }, uniquingKeysWith: { first, _ in first })
  }
}
