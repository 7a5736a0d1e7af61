import ArgumentParser
import ControlAPI
import Model

/// Prints a service's variables.
struct Env: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "env",
    abstract: "Print the variables that a service's instances get.",
    discussion: "For a shell: eval \"$(istbpf env shop/app)\"")

  @Argument(help: ArgumentHelp("The service.", valueName: "deployment/service"))
  var service: ServiceReference

  @Flag(help: "Print NAME=value lines, as --env-file of podman and docker takes them.")
  var envFile = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var options: InstallationOptions

  func validate() throws {
    guard !(envFile && output.json) else {
      throw ValidationError("--env-file and --json exclude each other")
    }
  }

  func run() async throws {
    try await failing {
      let response = try await ControlClient.connect(
        to: options.chosen().controlSocketPath
      ) { [service] client in
        try await client.getEnvironment(
          .with {
            $0.deployment = service.deployment
            $0.service = service.service
          })
      }
      let variables = response.variables.map { EnvironmentVariable(name: $0.name, value: $0.value) }
      if output.json {
        return try printJSON(
          Dictionary(
            variables.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first }))
      }
      print(
        try envFile ? variables.environmentFileText() : variables.shellText(), terminator: "")
    }
  }
}
