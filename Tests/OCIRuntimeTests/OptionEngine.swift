import EngineTestSupport
import Foundation
import LinuxSystem
import TestSupport

/// An engine that containers with every option are tried with.
protocol OptionEngine: AnyObject {
  /// With its version: the heading of its column.
  var title: String { get throws }
  var runner: RunnerLaboratory { get }
  /// What it has for itself, and a test for its files.
  var directory: String { get }
  /// Its own socket, at which it takes orders.
  var socket: String { get }
  /// What of an option's words this engine has.
  func words(of option: ContainerOption) -> ContainerOption.Words
  /// Whether ALL means those that the machine's root has: a runtime cannot give others.
  var knowsAllCapabilities: Bool { get }
  /// Capabilities that are newer than it.
  var unknownCapabilities: Set<String> { get }
  /// Starts a container in the background, with options of this engine's; the process id of its first process.
  func start(
    _ id: String, of service: String?, options: [String], _ command: [String]
  ) throws -> Int32
  /// Runs a container of shop/app to its end.
  func run(_ options: [String], _ command: [String]) throws -> CommandResult
  /// Has a command executed in a container with all privileges; nil where the engine has no such order.
  func execute(in container: String, _ command: [String]) throws -> CommandResult?
}

extension OptionEngine {
  var unknownCapabilities: Set<String> { [] }
}

final class PodmanOptions: OptionEngine {
  private let podman: PodmanLaboratory
  private let service: Conversation

  /// podman's service runs, which has a socket as the other engines have.
  init(_ podman: PodmanLaboratory) throws {
    self.podman = podman
    let directory = "\(podman.directory)/service"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let socket = "\(directory)/podman.sock"
    service = try Conversation(
      podman.commandLine(["system", "service", "--time", "0", "unix://\(socket)"]))
    let started = service
    podman.runner.laboratory.atEnd { started.stop() }
    guard podman.runner.eventually(within: 20, { SmallFile.exists(socket) }) else {
      throw EngineFailure(service.errorText)
    }
  }

  var title: String {
    get throws { "podman \(lastWord(try TestSupport.run("podman", "--version").output))" }
  }
  var runner: RunnerLaboratory { podman.runner }
  var directory: String { podman.directory }
  var socket: String { "\(podman.directory)/service/podman.sock" }
  func words(of option: ContainerOption) -> ContainerOption.Words { option.podman }
  var knowsAllCapabilities: Bool { true }

  func start(
    _ id: String, of service: String?, options own: [String], _ command: [String]
  ) throws -> Int32 {
    let options = PodmanLaboratory.hostPrograms + podman.machineOptions + annotations(service) + own
    let result = try TestSupport.run(
      podman.commandLine(
        ["run", "--detach", "--name", id, "--network", "none"] + options + ["tools"] + command))
    guard result.status == 0 else { throw EngineFailure(result.errors) }
    return try number(podman.podman("inspect", "--format", "{{.State.Pid}}", id))
  }

  func run(_ options: [String], _ command: [String]) throws -> CommandResult {
    let network = options.contains("--network") ? [] : ["--network", "none"]
    // For --preserve-fds.
    let withDescriptor = ["bash", "-c", "exec \"$@\" 3</dev/null", "-"]
    return try TestSupport.run(
      withDescriptor
        + podman.commandLine(
          ["run", "--rm"] + PodmanLaboratory.hostPrograms + podman.machineOptions + network
            + annotations("shop/app") + options + ["tools"] + command))
  }

  func execute(in container: String, _ command: [String]) throws -> CommandResult? {
    try TestSupport.run(podman.commandLine(["exec", "--privileged", container] + command))
  }

  private func annotations(_ service: String?) -> [String] {
    guard let parts = service?.split(separator: "/") else { return [] }
    return [
      "--annotation", "io.istbpf.deployment=\(parts[0])", "--annotation",
      "io.istbpf.service=\(parts[1])",
    ]
  }
}

final class DockerOptions: OptionEngine {
  private let docker: DockerLaboratory
  init(_ docker: DockerLaboratory) { self.docker = docker }

  var title: String {
    get throws {
      let version = try docker.docker(["version", "--format", "{{.Server.Version}}"]).output
      return "Docker \(lastWord(version))"
    }
  }
  var runner: RunnerLaboratory { docker.runner }
  var directory: String { docker.directory }
  var socket: String { docker.socket }
  var unknownCapabilities: Set<String> { ["BPF", "CHECKPOINT_RESTORE", "PERFMON"] }
  func words(of option: ContainerOption) -> ContainerOption.Words { option.docker }
  var knowsAllCapabilities: Bool { false }

  func start(
    _ id: String, of service: String?, options own: [String], _ command: [String]
  ) throws -> Int32 {
    let options = ["--detach", "--name", id, "--network", "none", "--ipc", "shareable"] + own
    let result = try TestSupport.run(docker.commandLine(service, options, command))
    guard result.status == 0 else { throw EngineFailure(result.errors) }
    return try number(docker.docker(["inspect", "--format", "{{.State.Pid}}", id]))
  }

  func run(_ options: [String], _ command: [String]) throws -> CommandResult {
    let network = options.contains("--network") ? [] : ["--network", "none"]
    return try TestSupport.run(
      docker.commandLine("shop/app", ["--rm"] + network + options, command))
  }

  func execute(in container: String, _ command: [String]) throws -> CommandResult? {
    try docker.docker(["exec", "--privileged", container] + command)
  }
}

final class ContainerdOptions: OptionEngine {
  private let docker: DockerLaboratory
  init(_ docker: DockerLaboratory) { self.docker = docker }

  var title: String {
    get throws {
      let version = try TestSupport.run("containerd", "--version").output.split(separator: " ")
      return "containerd \(version.dropFirst(2).first ?? "") (ctr)"
    }
  }
  var runner: RunnerLaboratory { docker.runner }
  var directory: String { docker.directory }
  var socket: String { docker.containerdSocket }
  func words(of option: ContainerOption) -> ContainerOption.Words { option.containerd }
  var knowsAllCapabilities: Bool { false }

  func start(
    _ id: String, of service: String?, options own: [String], _ command: [String]
  ) throws -> Int32 {
    let result = try docker.runByCTR(service, id: id, ["--detach", "--null-io"] + own, command)
    guard result.status == 0 else { throw EngineFailure(result.errors) }
    let tasks = try docker.ctr(["tasks", "list"]).output.split(separator: "\n")
    let words = tasks.first { $0.hasPrefix(id + " ") }?.split(separator: " ") ?? []
    guard words.count > 1, let process = Int32(words[1]) else {
      throw EngineFailure("\(tasks)")
    }
    return process
  }

  func run(_ options: [String], _ command: [String]) throws -> CommandResult {
    try docker.runByCTR("shop/app", options, command)
  }

  func execute(in container: String, _ command: [String]) throws -> CommandResult? { nil }
}

/// The process id that a command said.
private func number(_ result: CommandResult) throws -> Int32 {
  guard let number = Int32(result.output.trimmingCharacters(in: .whitespacesAndNewlines)) else {
    throw EngineFailure(result.errors)
  }
  return number
}

private func lastWord(_ text: String) -> Substring {
  text.split(whereSeparator: \.isWhitespace).last ?? ""
}
