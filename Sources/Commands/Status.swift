import ArgumentParser
import ControlAPI
import Foundation
import Model

/// Shows what is declared, what runs and what is attached.
struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show deployments, services, instances and what is attached to them.",
    discussion: """
      What is attached is the kernel's answer, asked for now: the programs in effect for each \
      instance's cgroup, and the switch on its link. The exit status is 1 where one is missing, and with \
      --all-runners where a runner does not answer.
      """)

  @Option(name: .shortAndLong, help: "Only this deployment.")
  var deployment: String?

  @Flag(help: "Other runners' instances and denials too, of the deployments that this one serves.")
  var allRunners = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var tables: TableOptions
  @OptionGroup var options: InstallationOptions

  func run() async throws {
    try await failing {
      var status = try await ControlClient.connect(
        to: options.chosen().controlSocketPath
      ) { client in
        try await client.getStatus(
          .with { ($0.allRunners, $0.deployment) = (allRunners, deployment ?? "") })
      }
      status.deployments = try status.deployments(named: deployment)
      if output.json {
        try printJSON(Report(status))
      } else {
        show(status)
      }
      let unguarded = status.deployments.flatMap(\.instances).filter { !$0.isGuarded }
      for instance in unguarded {
        printError("istbpf: \(instance.instance) is not guarded: \(instance.guardText)")
      }
      for runner in status.silent { printError("istbpf: \(runner.text)") }
      guard unguarded.isEmpty && status.silent.isEmpty else { throw ExitCode.failure }
    }
  }

  private func show(_ status: Istbpf_Control_V1_GetStatusResponse) {
    let since = Date(timeIntervalSince1970: TimeInterval(status.startedAt))
      .formatted(.iso8601)
    print(
      "istbpfd \(status.version), pid \(status.pid), runner \(status.runner), range \(status.range), since \(since)"
    )
    if let relay = RelayReport(status) { print(relay.text) }
    if let cluster = ClusterReport(status) { print(cluster.text) }
    if let frontDoor = FrontDoorReport(status) { print(frontDoor.text) }
    for deployment in status.deployments {
      let fabric = deployment.fabric.isEmpty ? "none yet" : deployment.fabric
      print("\ndeployment \(deployment.name) (id \(deployment.id), fabric \(fabric))")
      var services = Table(["service", "address", "port", "denials", "url"])
      services.rows = deployment.services.map { service in
        let denials = service.denials.map { "\($0.reason)=\($0.count)" }.joined(separator: " ")
        return [
          service.name, service.address, "\(service.port)", denials.isEmpty ? "-" : denials,
          service.urlText,
        ]
      }
      tables.print(services)
      var names = Table(["name outside", "of", "addresses", "state"])
      names.rows = deployment.services.flatMap { service in
        service.names.map { [$0.name, service.name, $0.addressText, $0.stateText] }
      }
      names.style = { _, cell in cell.hasPrefix("CLOSED") ? .red : nil }
      if !names.rows.isEmpty { tables.print(names) }
      guard !deployment.instances.isEmpty else { continue }
      var instances = Table([
        "instance", "address", "runner", "container", "engine", "way out", "pids", "guarded",
      ])
      instances.rows = deployment.instances.map { instance in
        [instance.instance, instance.address, instance.runner]
          + InstanceReport(instance, deployment: deployment.name).containerTexts
          + [
            instance.wayOutText, instance.pids.map(String.init).joined(separator: " "),
            instance.guardText,
          ]
      }
      instances.style = { _, cell in cell.hasPrefix("MISSING") ? .red : nil }
      tables.print(instances)
    }
  }

  private struct Report: Encodable {
    let runner: String
    let version: String
    let range: String
    let pid: Int32
    let startedAt: Int64
    let relay: RelayReport?
    let cluster: ClusterReport?
    let frontDoor: FrontDoorReport?
    let deployments: [DeploymentReport]
    /// What is wrong with the runners that do not answer, by their names.
    let silent: [String: String]

    init(_ status: Istbpf_Control_V1_GetStatusResponse) {
      runner = status.runner
      version = status.version
      range = status.range
      pid = status.pid
      startedAt = status.startedAt
      relay = RelayReport(status)
      cluster = ClusterReport(status)
      frontDoor = FrontDoorReport(status)
      deployments = status.deployments.map(DeploymentReport.init)
      silent = Dictionary(
        status.silent.map { ($0.runner, $0.problem) }, uniquingKeysWith: { first, _ in first })
    }
  }

  private struct DeploymentReport: Encodable {
    let name: String
    let id: UInt32
    let fabric: String
    let services: [ServiceReport]
    let instances: [InstanceReport]

    init(_ message: Istbpf_Control_V1_DeploymentStatus) {
      name = message.name
      id = message.id
      fabric = message.fabric
      services = message.services.map(ServiceReport.init)
      instances = message.instances.map { InstanceReport($0, deployment: message.name) }
    }
  }
}

extension Istbpf_Control_V1_SilentRunner {
  /// What to tell people.
  var text: String { "runner \(runner) does not answer: \(problem)" }
}

extension Istbpf_Control_V1_InstanceStatus {
  fileprivate var isGuarded: Bool { missingHooks.isEmpty && switchAttached }

  /// How it reaches outside, and how many connections it has there through the relay.
  fileprivate var wayOutText: String {
    if wayOut.isEmpty { return "-" }
    return wayOut == "relay" ? "relay, \(relayedConnections) connected" : wayOut
  }

  /// What of the walls stands, in a few words.
  fileprivate var guardText: String {
    if isGuarded { return "\(hooks.count) hooks, switch" }
    let missing = missingHooks + (switchAttached ? [] : ["switch"])
    return "MISSING \(missing.joined(separator: " "))"
  }
}
