import ArgumentParser
import ControlAPI
import Foundation

/// The runners of the cluster.
struct RunnerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runner",
    abstract: "List the runners of the cluster, empty one, and settle what is lost.",
    subcommands: [
      List.self, Drain.self, Undrain.self, Forget.self, ConfirmLoss.self, RestartRelay.self,
    ])

  /// There are no other runners.
  private struct Alone: Error, CustomStringConvertible {
    let description = "this runner is alone: no cluster is configured"
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list",
      abstract: "List the runners, also those that are gone and have numbers of instances.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var tables: TableOptions
    @OptionGroup var options: InstallationOptions

    func run() async throws {
      try await failing {
        let status = try await ControlClient.connect(
          to: options.chosen().controlSocketPath
        ) { try await $0.getStatus(.init()) }
        guard let cluster = ClusterReport(status) else {
          throw Alone()
        }
        if output.json { return try printJSON(cluster.runners) }
        let rows = cluster.runners.map { runner in
          [
            runner.name, runner.state,
            runner.address.isEmpty ? "-" : runner.address,
            runner.version.isEmpty ? "-" : runner.version, "\(runner.instances)",
            "\(runner.numbers)",
          ]
        }
        tables.print(
          Table(["runner", "state", "address", "version", "instances", "numbers"], rows: rows))
      }
    }
  }

  struct Forget: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "forget",
      abstract: "Give the instance numbers back of a runner that is gone for ever.",
      discussion: """
        A runner that is only cut off keeps its numbers, since its instances run on. So be sure that \
        nothing runs there any more. Refused for a runner that is there.
        """)

    @Argument(help: "The runner's name.")
    var name: String
    @OptionGroup var options: InstallationOptions

    func run() async throws {
      try await failing {
        let request = Istbpf_Control_V1_ForgetRunnerRequest.with { $0.name = name }
        let response = try await ControlClient.connect(
          to: options.chosen().controlSocketPath
        ) { try await $0.forgetRunner(request) }
        print("forgot \(name); numbers of instances that are free again: \(response.numbers)")
      }
    }
  }

  struct ConfirmLoss: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "confirm-loss",
      abstract: "Say that instances which vanished all at once are gone indeed.",
      discussion: """
        Where more than half of all instances vanish from the registry in one update, each runner \
        keeps them until a second look confirms it. This is for whom that takes too long; on each \
        runner.
        """)

    @OptionGroup var options: InstallationOptions

    func run() async throws {
      try await failing {
        let response = try await ControlClient.connect(
          to: options.chosen().controlSocketPath
        ) { try await $0.confirmLoss(.init()) }
        print(
          response.instances == 0
            ? "no instance is held" : "confirmed: \(response.instances) instances are gone")
      }
    }
  }
}
