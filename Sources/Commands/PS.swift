import ArgumentParser
import ControlAPI

/// Lists the instances.
struct PS: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ps", abstract: "List the running instances.")

  @Option(name: .shortAndLong, help: "Only those of this deployment.")
  var deployment: String?

  @OptionGroup var output: OutputOptions
  @OptionGroup var tables: TableOptions
  @OptionGroup var options: InstallationOptions

  func run() async throws {
    try await failing {
      let status = try await ControlClient.connect(
        to: options.chosen().controlSocketPath
      ) { try await $0.getStatus(.init()) }
      let instances = try status.deployments(named: deployment)
        .flatMap { found in found.instances.map { InstanceReport($0, deployment: found.name) } }
      if output.json { return try printJSON(instances) }
      let rows = instances.map { instance in
        [instance.instance, instance.address, instance.runner] + instance.containerTexts
          + [instance.pids.map(String.init).joined(separator: " ")]
      }
      tables.print(
        Table(["instance", "address", "runner", "container", "engine", "pids"], rows: rows))
    }
  }
}
