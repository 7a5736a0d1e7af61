import ControlAPI
import Dataplane
import Foundation
import Glibc

/// Events as lines for people, in columns that grow as they must.
struct EventLines {
  private var widths: [Int]
  private let showsRunners: Bool
  private let terminal = Terminal.standardOutput()

  /// Lines with a column for the runner on which it happened, or without.
  init(showsRunners: Bool) {
    self.showsRunners = showsRunners
    widths = [12, 10] + (showsRunners ? [10] : []) + [20, 20]
  }

  /// The line for a message.
  mutating func line(_ message: Istbpf_Control_V1_ObserveResponse) -> String {
    switch message.message {
    // The command asks for no summaries.
    case nil, .summary: columns("TIME", "EVENT", "RUNNER", ["FROM", "TO"], "DETAIL")
    case .event(let event): line(event, message.runner)
    case .untold(let untold):
      columns(
        Self.clock(.now), "left out", message.runner, [untold.instance, ""],
        Self.list([
          untold.denials > 0 ? "\(untold.denials) denials" : "",
          untold.connections > 0 ? "\(untold.connections) connections opened or closed" : "",
          "too many at once",
        ]))
    case .lost(let count):
      columns(
        Self.clock(.now), "lost", message.runner, ["", ""],
        "\(count) events, for which this command was too slow")
    case .silent(let silent):
      columns(Self.clock(.now), "silent", silent.runner, ["", ""], silent.problem)
    }
  }

  private mutating func line(_ event: Istbpf_Control_V1_Event, _ runner: String) -> String {
    let date = Date(timeIntervalSince1970: Double(event.time) / 1e9)
    let kind: String
    var detail: [String]
    switch event.kind {
    case .denied(let denied):
      kind = "denied"
      let reason = Reason(identifier: denied.reason)
      detail = [
        event.protocol, reason.map { "\(denied.reason): \($0.explanation)" } ?? denied.reason,
        denied.advice,
      ]
    case .opened: (kind, detail) = ("opened", [event.protocol])
    case .closed(let closed):
      kind = "closed"
      detail = [
        event.protocol, "sent \(Self.bytes(closed.sent))",
        "received \(Self.bytes(closed.received))",
        "after \(Self.duration(Double(closed.nanoseconds) / 1e9))",
        "round trip \(closed.roundTripMicroseconds) us",
      ]
    case nil: (kind, detail) = ("-", [])
    }
    if event.pid > 0 { detail.append("\(event.command)[\(event.pid)]") }
    return columns(
      Self.clock(date), kind, runner, [Self.text(event.source), Self.text(event.destination)],
      Self.list(detail))
  }

  private mutating func columns(
    _ time: String, _ kind: String, _ runner: String, _ ends: [String], _ last: String
  ) -> String {
    let cells = [time, kind] + (showsRunners ? [runner] : []) + ends
    var line = ""
    for (index, cell) in cells.enumerated() {
      widths[index] = max(widths[index], cell.count)
      let style: Terminal.Style? =
        index == 1
        ? (cell == "denied" ? .red : ["lost", "left out", "silent"].contains(cell) ? .yellow : nil)
        : nil
      line +=
        terminal.styled(cell, style) + String(repeating: " ", count: widths[index] - cell.count + 2)
    }
    return line + last
  }

  private static func list(_ parts: [String]) -> String {
    parts.filter { !$0.isEmpty }.joined(separator: ", ")
  }

  private static func text(_ endpoint: Istbpf_Control_V1_Endpoint) -> String {
    let host = endpoint.name.isEmpty ? endpoint.address : endpoint.name
    guard endpoint.port > 0 else { return host.isEmpty ? "-" : host }
    return endpoint.name.isEmpty && host.contains(":")
      ? "[\(host)]:\(endpoint.port)" : "\(host):\(endpoint.port)"
  }

  // The C library's, here and below: Foundation's has 34 MB of languages and time zones with it (Scripts/package).
  private static func clock(_ date: Date) -> String {
    let milliseconds = Int64((date.timeIntervalSince1970 * 1000).rounded(.down))
    var seconds = time_t(milliseconds / 1000)
    var parts = tm()
    localtime_r(&seconds, &parts)
    return String(
      format: "%02d:%02d:%02d.%03d", parts.tm_hour, parts.tm_min, parts.tm_sec,
      Int32(milliseconds % 1000))
  }

  /// The unit that leaves at most three digits before the point.
  static func bytes(_ count: UInt64) -> String {
    guard count >= 10_000 else { return "\(count) B" }
    var (value, unit) = (Double(count) / 1024, 0)
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"]
    while value >= 999.5, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
    let digits = unit == 0 || value >= 99.95 ? 0 : unit == 1 ? 1 : 2
    return String(format: "%.\(digits)f \(units[unit])", value)
  }

  private static func duration(_ seconds: Double) -> String {
    seconds < 1
      ? String(format: "%.3f ms", seconds * 1000) : String(format: "%.3f s", seconds)
  }
}

extension Istbpf_Control_V1_Event {
  /// The caller's or sender's end.
  var source: Istbpf_Control_V1_Endpoint { incoming ? peer : local }
  /// The other.
  var destination: Istbpf_Control_V1_Endpoint { incoming ? local : peer }
}
