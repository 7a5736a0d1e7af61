import ArgumentParser
import ControlAPI
import Foundation
import LinuxSystem
import Model

/// Looks for everything that is needed, and for what breaks installations.
struct Doctor: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check what this machine has of what is needed, what is in the way, and what to do.",
    discussion: """
      Exit status 1 if something needed is missing or something is in the way. Works without istbpfd; ask as root, \
      on each runner. It changes nothing. The firewall is looked at with iptables-save and nft, etcd with curl, and \
      the path to other runners with ping, where these are installed.
      """)

  @Option(
    help: ArgumentHelp(
      "The runner's configuration. (default: the one that istbpfd reads)", valueName: "file"))
  var config: String?

  @OptionGroup var output: OutputOptions
  @OptionGroup var tables: TableOptions
  @OptionGroup var options: InstallationOptions

  func run() async throws {
    try await failing {
      let installation = try options.chosen()
      let daemon = DaemonProcess(installation)
      let surroundings = Surroundings(
        installation: installation, daemon: daemon,
        settings: RunnerSettings(file: config, daemon),
        status: try? await ControlClient.connect(to: installation.controlSocketPath) {
          try await $0.getStatus(.init())
        })
      let findings =
        Self.machine() + Self.features() + [await Self.daemon(installation)]
        + surroundings.findings()
      if output.json { try printJSON(findings) } else { show(findings) }
      guard !findings.contains(where: \.verdict.isFailure) else { throw ExitCode.failure }
    }
  }

  private func show(_ findings: [Finding]) {
    var table = Table(["verdict", "what", "detail"])
    table.rows = findings.map { finding in
      let consequence = finding.consequence.isEmpty ? "" : ": \(finding.consequence)"
      return [
        finding.verdict.rawValue, finding.name,
        finding.verdict == .found ? finding.detail : finding.detail + consequence,
      ]
    }
    table.style = { column, cell in
      column == "verdict" ? Finding.Verdict(rawValue: cell)?.style : nil
    }
    tables.print(table)
    // Whole, since a terminal may have cut it above.
    let terminal = Terminal.standardOutput()
    for finding in findings where finding.verdict != .found {
      guard let type = finding.type else { continue }
      print("\n\(terminal.styled(finding.name, finding.verdict.style)): \(finding.detail)")
      print("  \(finding.consequence)\n  type: \(type)")
    }
  }
}
