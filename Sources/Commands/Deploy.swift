import ArgumentParser
import ControlAPI
import Foundation
import Model

/// Declares services.
struct Deploy: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deploy",
    abstract: "Declare the services of a deployment.",
    discussion: """
      Each service is a warp.config.js, a warp.config.json, a directory with one of them, or \
      --service NAME[:PORT]. Of the two a directory's warp.config.js is read; Node evaluates it, \
      with sudo as the user who called that. \
      Declaring a service again changes its port and keeps its address. With --replace, services \
      that are not named are removed; with none named, the deployment is.
      """)

  @Option(name: .shortAndLong, help: "The deployment.")
  var deployment: String

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("A service without a file; may be repeated.", valueName: "name[:port]"))
  var service: [String] = []

  @Flag(help: "Remove the services of the deployment that are not named.")
  var replace = false

  @Argument(
    help: ArgumentHelp("Configuration files, or directories with one.", valueName: "dir|file"))
  var paths: [String] = []

  @OptionGroup var output: OutputOptions
  @OptionGroup var tables: TableOptions
  @OptionGroup var options: InstallationOptions

  func validate() throws {
    guard replace || !service.isEmpty || !paths.isEmpty else {
      throw ValidationError("name at least one service: a file, a directory or --service NAME")
    }
  }

  func run() async throws {
    try await failing {
      let request = try await request()
      let response = try await ControlClient.connect(
        to: options.chosen().controlSocketPath
      ) { try await $0.deploy(request) }
      for warning in response.warnings { printError("istbpf: warning: \(warning)") }
      try show(response)
    }
  }

  private func request() async throws -> Istbpf_Control_V1_DeployRequest {
    let name = try DeploymentName(deployment)
    var declarations = try service.map { try ServiceDeclaration(argument: $0) }
    for path in paths {
      let file = try DeclarationFile(path: path)
      if let remark = file.remark { printError("istbpf: warning: \(remark)") }
      let (declaration, warnings) = try await file.declaration()
      for warning in warnings { printError("istbpf: warning: \(warning)") }
      declarations.append(declaration)
    }
    return .with {
      $0.deployment = name.rawValue
      $0.replace = replace
      $0.declarations = declarations.map { declaration in
        .with {
          $0.service = declaration.name.rawValue
          $0.port = UInt32(declaration.port.rawValue)
          $0.private = declaration.isPrivate
          $0.egress = declaration.egress.map(\.description)
          $0.timeoutSeconds = UInt32(declaration.timeout?.seconds ?? 0)
        }
      }
    }
  }

  private func show(_ response: Istbpf_Control_V1_DeployResponse) throws {
    if output.json {
      return try printJSON(
        Outcome(services: response.services.map(ServiceReport.init), removed: response.removed))
    }
    var table = Table(["service", "address", "port"])
    table.rows = response.services.map { [$0.name, $0.address, "\($0.port)"] }
    if !table.rows.isEmpty { tables.print(table) }
    for name in response.removed { print("removed \(name)") }
  }

  private struct Outcome: Encodable {
    let services: [ServiceReport]
    let removed: [String]
  }
}
