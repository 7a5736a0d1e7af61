import ControlAPI
import Dataplane
import Foundation

/// What is observed as JSON has it: one object, of which a line has what applies.
struct EventReport: Encodable {
  /// One end.
  struct End: Encodable {
    var name: String?
    var address: String?
    var port: UInt32?

    init?(_ endpoint: Istbpf_Control_V1_Endpoint) {
      guard endpoint != .init() else { return nil }
      name = endpoint.name.isEmpty ? nil : endpoint.name
      address = endpoint.address.isEmpty ? nil : endpoint.address
      port = endpoint.port == 0 ? nil : endpoint.port
    }
  }

  /// `denied`, `opened`, `closed`; `untold` and `lost` for what was left out; `silent` for a runner that does not tell;
  /// `observing` at the beginning, from where on nothing else is left out.
  var event: String
  /// Where it happened, with --all-runners.
  var runner: String?
  /// RFC 3339, in UTC.
  var time: String?
  var source: End?
  var destination: End?
  /// Whether source or destination is the end on this runner from which bytes are counted.
  var incoming: Bool?
  var `protocol`: String?
  var pid: UInt32?
  var command: String?
  var reason: String?
  var explanation: String?
  var advice: String?
  var sent: UInt64?
  var received: UInt64?
  var durationNanoseconds: UInt64?
  var roundTripMicroseconds: UInt32?
  var instance: String?
  var denials: UInt64?
  var connections: UInt64?
  var count: UInt64?
  var problem: String?

  /// The report of a message.
  init(_ message: Istbpf_Control_V1_ObserveResponse) {
    switch message.message {
    // The command asks for no summaries.
    case nil, .summary: self.init(event: "observing")
    case .event(let event): self.init(event)
    case .untold(let untold):
      self.init(event: "untold")
      (instance, denials, connections) = (untold.instance, untold.denials, untold.connections)
    case .lost(let lost):
      self.init(event: "lost")
      count = lost
    case .silent(let silent):
      self.init(event: "silent")
      (runner, problem) = (silent.runner, silent.problem)
    }
    if !message.runner.isEmpty { runner = message.runner }
  }

  private init(event: String) { self.event = event }

  private init(_ message: Istbpf_Control_V1_Event) {
    switch message.kind {
    case .denied(let denied):
      self.init(event: "denied")
      reason = denied.reason
      explanation = Reason(identifier: denied.reason)?.explanation
      advice = denied.advice.isEmpty ? nil : denied.advice
    case .closed(let closed):
      self.init(event: "closed")
      (sent, received) = (closed.sent, closed.received)
      durationNanoseconds = closed.nanoseconds
      roundTripMicroseconds = closed.roundTripMicroseconds
    case .opened, nil: self.init(event: "opened")
    }
    time = Date(timeIntervalSince1970: Double(message.time) / 1e9)
      .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    (source, destination) = (End(message.source), End(message.destination))
    incoming = message.incoming
    `protocol` = message.protocol.isEmpty ? nil : message.protocol
    pid = message.pid == 0 ? nil : message.pid
    command = message.command.isEmpty ? nil : message.command
  }

  /// The object on one line.
  var line: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
  }
}
