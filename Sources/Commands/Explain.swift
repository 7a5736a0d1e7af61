import ArgumentParser
import ControlAPI
import Foundation

/// Says what would become of a connect.
struct Explain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say what would become of a connect of a service, and why.",
    discussion: """
      Asks the data path's own program, over its maps as they are, and looks into the instances for \
      who listens. Nothing is connected. TARGET is a service (db), its host name (db.warp), a service \
      of any deployment (shop/db) or an address. The exit status is 0 whether or not it could connect.
      """)

  @Argument(help: "Who connects: DEPLOYMENT/SERVICE.")
  var service: ServiceReference

  @Argument(
    help: ArgumentHelp("Where to; without a port, the service's own.", valueName: "target[:port]"))
  var target: String

  @OptionGroup var output: OutputOptions
  @OptionGroup var options: InstallationOptions

  func run() async throws {
    try await failing {
      let (service, target) = (service, target)
      let answer = try await ControlClient.connect(to: options.chosen().controlSocketPath) {
        try await $0.explain(
          .with {
            $0.deployment = service.deployment
            $0.service = service.service
            $0.target = target
          })
      }
      if output.json { return try printJSON(Report(answer)) }
      let address = answer.address.contains(":") ? "[\(answer.address)]" : answer.address
      var rows = [
        [
          "connect",
          "\(address):\(answer.port)\(answer.target.isEmpty ? "" : " (\(answer.target))")",
        ],
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
      for row in rows { print(row[0].padding(toLength: 12, withPad: " ", startingAt: 0) + row[1]) }
    }
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
