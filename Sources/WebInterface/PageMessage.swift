import ControlAPI
import Foundation
import SwiftProtobuf

/// What a page is told, as a server-sent event: its name, and JSON on one line.
struct PageMessage: Sendable {
  /// What goes over the wire.
  let text: String

  private init(_ name: String, _ json: String) { text = "event: \(name)\ndata: \(json)\n\n" }

  /// What istbpfd answered, as protobuf has it in JSON.
  static func status(_ status: Istbpf_Control_V1_GetStatusResponse) throws -> PageMessage {
    PageMessage("status", try status.jsonString())
  }

  /// What istbpfd answered, as protobuf has it in JSON.
  static func traffic(_ traffic: Istbpf_Control_V1_GetTrafficResponse) throws -> PageMessage {
    PageMessage("traffic", try traffic.jsonString())
  }

  /// What happened, and how much of it is not among the events.
  static func events(_ happened: Happenings) throws -> PageMessage {
    func list(_ messages: [some Message]) throws -> String {
      try messages.map { try $0.jsonString() }.joined(separator: ",")
    }
    return PageMessage(
      "events",
      #"{"events":[\#(try list(happened.events))],"#
        + #""connections":[\#(try list(happened.connections))],"more":\#(happened.unseen)}"#)
  }

  /// What istbpfd answered, as protobuf has it in JSON.
  static func history(_ history: Istbpf_Control_V1_GetHistoryResponse) throws -> PageMessage {
    PageMessage("history", try history.jsonString())
  }

  /// How many messages this page was too slow for.
  static func lost(_ count: Int) -> PageMessage { PageMessage("lost", "\(count)") }

  /// What is wrong, for a person; empty where nothing is any more.
  static func problem(_ text: String) throws -> PageMessage {
    PageMessage("problem", String(decoding: try JSONEncoder().encode(text), as: UTF8.self))
  }
}
