import ArgumentParser
import Foundation
import Glibc
import LinuxSystem
import Model

/// Gathers what a bug report needs.
struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract:
      "Gather what a bug report needs in one archive, for you to look at before you send it.",
    discussion: """
      Versions, the configuration without secrets, status, doctor, the instances, all maps, the last events and \
      log lines, facts of the kernel, and how long each of them took. Nothing is sent anywhere. Of the configuration \
      only keys are shown that are known to hold no secret; passwords, keys and the user part of URLs are taken out \
      of everything else, and the environment and the arguments of instances are not looked at. Names of deployments and services, \
      and addresses, are in it. Works while istbpfd is down, and says what is missing. Ask as root.
      """)

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "The archive, which must not exist. (default: istbpf-report-HOST-TIME.tar.gz here)",
      valueName: "file"))
  var output: String?

  @Option(
    help: ArgumentHelp(
      "The runner's configuration. (default: the one that istbpfd reads)", valueName: "file"))
  var config: String?

  @OptionGroup var options: InstallationOptions

  func run() throws {
    try failing {
      let time = Date().formatted(
        Date.ISO8601FormatStyle(dateSeparator: .omitted, timeSeparator: .omitted))
      let name = "istbpf-report-\(ProcessInfo.processInfo.hostName)-\(time)"
      let archive = output ?? "\(name).tar.gz"
      guard access(archive, F_OK) != 0 else { throw Failure("\(archive) exists already") }
      let contents = try ReportContents(
        installation: try options.chosen(), configuration: config)
      try contents.write(as: archive, directory: name)

      print("wrote \(archive), which only you can read. In it, below \(name)/:")
      for file in contents.files { print("  \(file.name): \(file.purpose)") }
      for missing in contents.missing { print("missing: \(missing)") }
      print(
        "Look through it before it leaves this machine: tar -xzf \(archive), or tar -xzOf \(archive) | less"
      )
    }
  }

  /// Why there is no archive.
  struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
}
