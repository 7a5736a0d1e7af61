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

  /// Nil where systemd does not keep this istbpfd: it runs then as a service of the standard installation, which is the one
  /// that the units are for.
  init?(_ installation: Installation) {
    guard ServiceManager().isThere, installation == .standard,
      access("/run/systemd/system", F_OK) == 0
    else { return nil }
    output = "\(installation.runtimeDirectory)/systemctl"
  }

  /// Starts one that does not run. Nil where there is no such unit, as where another package has put istbpfd there, or
  /// where what it would start is not this program, as after an upgrade for which istbpfd has not been started again yet.
  /// Throws what systemd says against it.
  func start() throws -> ProcessHandle? {
    guard let own = FileIdentity.ofThisProgram, FileIdentity(of: Self.program) == own else {
      return nil
    }
    let units = Self.numbers.map { "istbpf-relay@\($0).service" }
    let states = try say(["show", "--property=Id,LoadState,ActiveState"] + units)
      .components(separatedBy: "\n\n").map(Self.properties)
    guard states.contains(where: { $0["LoadState"] == "loaded" }) else { return nil }
    // One that systemd is about to start again is started at once.
    let free = states.first {
      ["inactive", "failed", "activating"].contains($0["ActiveState"])
        && $0["LoadState"] == "loaded"
    }
    guard let unit = free?["Id"] else {
      throw RunnerError.noRelay("all of istbpf-relay@1 to istbpf-relay@\(units.count) run")
    }
    let said = try say(["start", unit])
    let process = Self.properties(try say(["show", "--property=MainPID", unit]))["MainPID"]
    guard let process = process.flatMap({ pid_t($0) }), process > 0 else {
      throw RunnerError.noRelay("systemctl start \(unit): \(said.isEmpty ? "it has ended" : said)")
    }
    return try ProcessHandle(process)
  }

  /// What systemctl prints.
  private func say(_ arguments: [String]) throws -> String {
    let process = try ProcessHandle(
      DetachedProcess.start("/usr/bin/systemctl", ["systemctl"] + arguments, output: output))
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
