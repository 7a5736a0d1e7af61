import ArgumentParser
import ControlAPI
import Foundation
import Synchronization

extension ServiceTraffic.Order: ExpressibleByArgument {}

/// Shows services by what they do.
struct Top: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top",
    abstract: "Show services by connections, bytes and denials, live.",
    discussion: """
      On a terminal it is drawn anew until q is pressed; c, n, b, d and s sort by connections, new ones, bytes, \
      denials and name. Elsewhere it prints one table, or as many as --count says. Rates are those since the look \
      before: with one look there are none, so that the first comes after --interval.
      """)

  @Option(name: .shortAndLong, help: "Only services of this deployment.")
  var deployment: String?

  @Flag(help: "Other runners too, for the deployments that this one serves.")
  var allRunners = false

  @Option(help: "What is first: service, connections, new, bytes or denials.")
  var sort = ServiceTraffic.Order.connections

  @Option(help: "Seconds from one look to the next, 1 to 3600.")
  var interval = 1

  @Option(help: "How often to print; on a terminal without end, else once.")
  var count: Int?

  @OptionGroup var output: OutputOptions
  @OptionGroup var tables: TableOptions
  @OptionGroup var options: InstallationOptions

  func validate() throws {
    guard (1...3600).contains(interval) else {
      throw ValidationError("--interval is 1 to 3600 seconds, not \(interval)")
    }
    if let count, count < 1 { throw ValidationError("--count is at least 1, not \(count)") }
  }

  /// What the tasks of one run share.
  private final class Shown: Sendable {
    let traffic = Mutex(ServiceTraffic())
    let order: Mutex<ServiceTraffic.Order>

    init(_ order: ServiceTraffic.Order) { self.order = Mutex(order) }
  }

  func run() async throws {
    try await failing {
      let path = try options.chosen().controlSocketPath
      let screen = output.json || count != nil ? nil : Screen()
      defer { screen?.leave() }
      let shown = Shown(sort)
      try await ControlClient.connect(to: path) { client in
        try await withThrowingTaskGroup { group in
          defer { group.cancelAll() }
          group.addTask { try await observe(client, shown) }
          group.addTask { try await look(client, shown, on: screen) }
          if let screen {
            group.addTask { for await key in screen.keys where !heed(key, shown) { break } }
          }
          // The first that ends ends all: the looks that were wanted, the key q, or istbpfd.
          try await group.next()
        }
      }
    }
  }

  private func observe(_ client: ControlClient.Client, _ shown: Shown) async throws {
    let request = Istbpf_Control_V1_ObserveRequest.with {
      $0.deployment = deployment ?? ""
      ($0.opened, $0.closed, $0.allRunners) = (true, true, allRunners)
    }
    try await client.observe(request) { response in
      try await ControlClient.follow(response) { message in
        if case .event(let event) = message.message { shown.traffic.withLock { $0.add(event) } }
      }
    }
  }

  private func look(
    _ client: ControlClient.Client, _ shown: Shown, on screen: Screen?
  ) async throws {
    _ = try await rows(client, shown)
    var left = count ?? (screen == nil ? 1 : Int.max)
    while left > 0 {
      try await Task.sleep(for: .seconds(interval))
      let (rows, silent) = try await rows(client, shown)
      try show(rows, silent, by: shown.order.withLock { $0 }, on: screen)
      left -= 1
    }
  }

  private func rows(
    _ client: ControlClient.Client, _ shown: Shown
  ) async throws -> ([ServiceTraffic.Row], [Istbpf_Control_V1_SilentRunner]) {
    let status = try await client.getStatus(
      .with { ($0.allRunners, $0.deployment) = (allRunners, deployment ?? "") })
    let deployments = try status.deployments(named: deployment)
    var traffic: [Istbpf_Control_V1_GetTrafficResponse] = []
    for name in deployments.map(\.name) {
      traffic.append(
        try await client.getTraffic(
          .with { ($0.deployment, $0.allRunners) = (name, allRunners) }))
    }
    let rows = shown.traffic.withLock { $0.look(deployments, traffic, at: .now) }
    return (rows, status.silent)
  }

  /// Does what a key is for; false for the one that ends it.
  private func heed(_ key: UInt8, _ shown: Shown) -> Bool {
    let (controlC, controlD): (UInt8, UInt8) = (3, 4)
    let orders: [Character: ServiceTraffic.Order] = [
      "c": .connections, "n": .new, "b": .bytes, "d": .denials, "s": .service,
    ]
    let character = Character(UnicodeScalar(key))
    if let order = orders[character] { shown.order.withLock { $0 = order } }
    return key != controlC && key != controlD && character != "q"
  }

  private func show(
    _ unsorted: [ServiceTraffic.Row], _ silent: [Istbpf_Control_V1_SilentRunner],
    by order: ServiceTraffic.Order, on screen: Screen?
  ) throws {
    let rows = unsorted.sorted(by: order.precedes)
    if output.json {
      for runner in silent { printError("istbpf: \(runner.text)") }
      return try printJSON(rows)
    }
    var table = Table([
      "service", "instances", "listening", "to it", "from it", "new/s", "sent/s", "received/s",
      "denied/s", "denials",
    ])
    table.rows = rows.map { row in
      [
        row.service, "\(row.instances)", "\(row.listening)", "\(row.incoming)", "\(row.outgoing)",
        Self.text(row.opened), EventLines.bytes(UInt64(row.sent)),
        EventLines.bytes(UInt64(row.received)), Self.text(row.denied), "\(row.denials)",
      ]
    }
    table.style = { column, cell in column == "denied/s" && cell != "0" ? .red : nil }
    table.notes = silent.map(\.text)
    guard let screen else { return tables.print(table) }
    let terminal = Terminal.standardOutput()
    let room = max(1, (terminal.height ?? 24) - 3 - table.notes.count)
    if rows.count > room {
      table.notes.append("\(rows.count - room) more services")
      table.rows = Array(table.rows.prefix(room))
    }
    screen.show(
      "by \(order.rawValue); c n b d s sort, q ends\n" + tables.text(of: table, on: terminal))
  }

  private static func text(_ rate: Double) -> String {
    rate == 0 ? "0" : rate < 10 ? String(format: "%.1f", rate) : "\(Int(rate))"
  }
}
