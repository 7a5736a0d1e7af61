import ArgumentParser
import ControlAPI
import Foundation
import GRPCCore

/// Streams what the data path does.
struct Observe: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "observe",
    abstract: "Show connections and denials as they happen.",
    discussion: """
      A connection is shown once: from its caller's end, or from the other's where the caller is on \
      another runner. Events that this command is too slow for, and those that one instance has too \
      many of, are left out; a line says how many. Every denial is counted in `istbpf status` in any \
      case. With --recent, connections are there only of times when somebody observed. \
      With --all-runners a connection between two of them is shown once, as the caller's sees it. --denied, --opened and --closed can be combined; without any, all are shown.
      """)

  @Option(name: .shortAndLong, help: "Only events of this deployment.")
  var deployment: String?

  @Option(name: .shortAndLong, help: "Only events of services of this name, at either end.")
  var service: String?

  @Flag(help: "Show what is denied.")
  var denied = false

  @Flag(help: "Show connections as they are established.")
  var opened = false

  @Flag(help: "Show connections as they end, with bytes and duration.")
  var closed = false

  @Flag(help: "Show the last that happened, up to 512 events, and end.")
  var recent = false

  @Flag(help: "Of other runners too, for the deployments that this one serves.")
  var allRunners = false

  @Flag(help: "Print JSON, an object a line.")
  var json = false

  @OptionGroup var options: InstallationOptions

  func validate() throws {
    guard !(recent && allRunners) else {
      throw ValidationError("--recent and --all-runners exclude each other: ask each runner")
    }
  }

  func run() async throws {
    try await failing {
      let all = !denied && !opened && !closed
      let request = Istbpf_Control_V1_ObserveRequest.with {
        $0.deployment = deployment ?? ""
        $0.service = service ?? ""
        $0.denied = denied || all
        $0.opened = opened || all
        $0.closed = closed || all
        $0.recent = recent
        $0.allRunners = allRunners
      }
      try await ControlClient.connect(to: options.chosen().controlSocketPath) { client in
        try await client.observe(request) { response in
          var lines = EventLines(showsRunners: allRunners)
          func show(_ message: Istbpf_Control_V1_ObserveResponse) throws {
            let line = json ? try EventReport(message).line : lines.line(message)
            try FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
          }
          guard recent else { return try await ControlClient.follow(response, show) }
          for try await message in response.messages { try show(message) }
        }
      }
    }
  }
}
