import Glibc
import LinuxSystem
import RelayControl
import SwiftProtobuf

/// What istbpfd said last, in files of the run directory: with them a relay goes on while there is no istbpfd.
struct StateFiles: Sendable {
  private let directory: String
  private var deployments: String { "\(directory)/deployments" }

  /// Those in `directory`, which is made. Throws `SystemError`.
  init(in directory: String) throws {
    self.directory = directory
    for path in [directory, deployments] {
      guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
        throw SystemError(.last, "make directory", path)
      }
    }
  }

  /// All that was kept, in the order in which it is to be taken over; nothing where there are no settings. Throws
  /// `SystemError`, or what a file has that is no message.
  func read() throws -> [Istbpf_Relay_V1_Command.OneOf_Command] {
    guard let settings = try read(Istbpf_Relay_V1_Settings.self, "settings") else { return [] }
    var commands = [Istbpf_Relay_V1_Command.OneOf_Command.settings(settings)]
    if let runners = try read(Istbpf_Relay_V1_Runners.self, "runners") {
      commands.append(.runners(runners))
    }
    for name in try DirectoryListing.names(in: deployments).sorted() {
      guard !name.hasPrefix("."),
        let deployment = try read(Istbpf_Relay_V1_Deployment.self, "deployments/\(name)")
      else { continue }
      commands.append(.deployment(deployment))
    }
    if let services = try read(Istbpf_Relay_V1_PublicServices.self, "public-services") {
      commands.append(.publicServices(services))
    }
    return commands
  }

  /// Keeps settings. Throws `SystemError`, as the others do.
  func keep(_ settings: Istbpf_Relay_V1_Settings) throws { try write(settings, "settings") }

  /// Keeps where runners are.
  func keep(_ runners: Istbpf_Relay_V1_Runners) throws { try write(runners, "runners") }

  /// Keeps what there is of a deployment.
  func keep(_ deployment: Istbpf_Relay_V1_Deployment) throws {
    try write(deployment, "deployments/\(deployment.id)")
  }

  /// Keeps which services the front door serves.
  func keep(_ services: Istbpf_Relay_V1_PublicServices) throws {
    try write(services, "public-services")
  }

  /// Forgets a deployment.
  func remove(_ deployment: UInt32) throws { try remove("\(deployments)/\(deployment)") }

  /// Forgets all deployments but these.
  func keepOnly(_ ids: Set<UInt32>) throws {
    for name in try DirectoryListing.names(in: deployments)
    where UInt32(name).map({ !ids.contains($0) }) ?? true {
      try remove("\(deployments)/\(name)")
    }
  }

  private func read<Content: Message>(_ type: Content.Type, _ name: String) throws -> Content? {
    let path = "\(directory)/\(name)"
    guard SmallFile.exists(path) else { return nil }
    return try Content(serializedBytes: try SmallFile.bytes(of: path))
  }

  private func write(_ message: some Message, _ name: String) throws {
    try SmallFile.replace(
      "\(directory)/\(name)", with: try message.serializedBytes(), mode: 0o600)
  }

  private func remove(_ path: String) throws {
    guard unlink(path) == 0 || errno == ENOENT else { throw SystemError(.last, "remove", path) }
  }
}
