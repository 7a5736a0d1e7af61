import ArgumentParser
import ControlAPI
import Foundation
import Model

/// Says what would become of a connect.
struct Explain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say what would become of a connect of a service, and why.",
    discussion: """
      Asks the data path's own program, over its maps as they are, and looks into the instances for \
      who listens. Nothing is connected. TARGET is a service (db), its host name (db.warp), a service \
      of any deployment (shop/db), an address, or a name outside (example.org:443): with the addresses that \
      istbpfd has of it where a rule names it, and else as this machine resolves it. The exit status is 0 whether or not it could connect.
      """)

  @Argument(help: "Who connects: DEPLOYMENT/SERVICE.")
  var caller: ServiceArgument

  @Argument(
    help: ArgumentHelp("Where to; without a port, the service's own.", valueName: "target[:port]"))
  var target: String

  @OptionGroup var place: DeploymentOption
  @OptionGroup var output: OutputOptions
  @OptionGroup var options: InstallationOptions

  func validate() throws { _ = try caller.reference(place) }

  func run() async throws {
    try await failing {
      let (service, target) = (try caller.reference(place), target)
      let (name, answers) = try await ControlClient.connect(to: options.chosen().controlSocketPath)
      {
        client in
        // What is no target the daemon says.
        let parsed = try? ConnectTarget(target)
        let status = try await client.getStatus(.init())
        let name = try parsed.flatMap { try OutsideName($0, from: service, status) }
        let port = parsed?.port.map { ":\($0)" } ?? ""
        var answers: [Istbpf_Control_V1_ExplainResponse] = []
        for target in name?.addresses.map({ $0 + port }) ?? [target] {
          answers.append(
            try await client.explain(
              .with {
                $0.deployment = service.deployment
                $0.service = service.service
                $0.target = target
              }))
        }
        if let name, answers.isEmpty { answers = [name.unresolved] }
        return (name, answers)
      }
      if output.json, let first = answers.first {
        var report = Report(first)
        report.name = name?.host
        report.others = answers.count > 1 ? answers.dropFirst().map(Report.init) : nil
        return try printJSON(report)
      }
      if let name { Self.show([["name", name.note]]) }
      for answer in answers { Self.show(Self.rows(answer)) }
    }
  }

  private static func show(_ rows: [[String]]) {
    for row in rows { print(row[0].padding(toLength: 12, withPad: " ", startingAt: 0) + row[1]) }
  }

  private static func rows(_ answer: Istbpf_Control_V1_ExplainResponse) -> [[String]] {
    let address = answer.address.contains(":") ? "[\(answer.address)]" : answer.address
    let place = address.isEmpty ? answer.target : "\(address):\(answer.port)"
    let isNamed = !address.isEmpty && !answer.target.isEmpty
    var rows = [
      ["connect", "\(place)\(isNamed ? " (\(answer.target))" : "")"],
      ["outcome", answer.outcome],
      [
        "decided by",
        answer.reason.isEmpty ? answer.decidedBy : "\(answer.decidedBy), \(answer.reason)",
      ],
      ["why", answer.why],
    ]
    rows += answer.entries.map { ["map", $0] }
    rows += answer.instances.map {
      [
        "instance",
        "\($0.instance) \($0.address)\($0.runner.isEmpty ? "" : " on \($0.runner)"): listens: \($0.listens)",
      ]
    }
    return rows
  }

  private struct Report: Encodable {
    struct Instance: Encodable {
      let instance: String
      let address: String
      let runner: String
      let listens: String
    }

    let target: String
    let address: String
    let port: UInt32
    let outcome: String
    let decidedBy: String
    let reason: String
    let why: String
    let entries: [String]
    let instances: [Instance]
    /// The name outside that was asked for, of which this is the first address; else absent.
    var name: String?
    /// What becomes of its other addresses; absent where it has none.
    var others: [Report]?

    init(_ answer: Istbpf_Control_V1_ExplainResponse) {
      target = answer.target
      address = answer.address
      port = answer.port
      outcome = answer.outcome
      decidedBy = answer.decidedBy
      reason = answer.reason
      why = answer.why
      entries = answer.entries
      instances = answer.instances.map {
        Instance(
          instance: $0.instance, address: $0.address, runner: $0.runner, listens: $0.listens)
      }
    }
  }
}
