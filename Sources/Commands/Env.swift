import ArgumentParser
import ControlAPI
import Foundation
import Model

/// Prints a service's variables.
struct Env: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "env",
    abstract: "Print the variables that a service's instances get.",
    discussion: """
      For a shell: eval "$(istbpf env shop/app)". An instance that runs keeps the variables that it was \
      started with; with --watch they are printed again whenever the next one would get others, in JSON an \
      object a line.
      """)

  @Argument(help: ArgumentHelp("The service.", valueName: "deployment/service"))
  var name: ServiceArgument

  @OptionGroup var place: DeploymentOption

  @Flag(help: "Print NAME=value lines, as --env-file of podman and docker takes them.")
  var envFile = false

  @Flag(help: "Go on, and print them again, after an empty line, whenever they change.")
  var watch = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var options: InstallationOptions

  func validate() throws {
    _ = try name.reference(place)
    guard !(envFile && output.json) else {
      throw ValidationError("--env-file and --json exclude each other")
    }
  }

  func run() async throws {
    try await failing {
      let service = try name.reference(place)
      let request = Istbpf_Control_V1_GetEnvironmentRequest.with {
        $0.deployment = service.deployment
        $0.service = service.service
      }
      let path = try options.chosen().controlSocketPath
      guard watch else {
        let response = try await ControlClient.connect(to: path) { client in
          try await client.getEnvironment(request)
        }
        return try write(text(response, isWatched: false))
      }
      try await ControlClient.connect(to: path) { client in
        try await client.watchEnvironment(request) { response in
          var isFirst = true
          try await ControlClient.follow(response) { message in
            let separator = isFirst || output.json ? "" : "\n"
            isFirst = false
            try write(separator + text(message, isWatched: true))
          }
        }
      }
    }
  }

  private func text(
    _ response: Istbpf_Control_V1_GetEnvironmentResponse, isWatched: Bool
  ) throws -> String {
    let variables = response.variables.map { EnvironmentVariable(name: $0.name, value: $0.value) }
    guard output.json else {
      return try envFile ? variables.environmentFileText() : variables.shellText()
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if !isWatched { encoder.outputFormatting.insert(.prettyPrinted) }
    let values = Dictionary(
      variables.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    return String(decoding: try encoder.encode(values), as: UTF8.self) + "\n"
  }

  private func write(_ text: String) throws {
    try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
  }
}
