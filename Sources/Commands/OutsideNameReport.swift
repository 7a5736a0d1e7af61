import ControlAPI
import Model

/// A name outside that a service may connect to, as the commands' JSON has it.
struct OutsideNameReport: Encodable {
  let name: String
  /// The addresses that it has, and those that it had a moment ago: all of them are open.
  let addresses: [String]
  let former: [String]
  /// Why addresses that it has are not opened.
  let refused: [String: String]
  /// How many addresses it has beyond those that are taken.
  let surplus: UInt32
  /// Why the last look brought no address; nil where it did.
  let problem: String?
  /// Seconds; nil where the resolver has not answered yet.
  let answeredAgo: Double?
  /// Seconds until what it answered ends to hold; negative where that has ended.
  let validFor: Double?
  /// Seconds until the next look.
  let nextLookIn: Double?

  init(_ message: Istbpf_Control_V1_OutsideName) {
    name = message.name
    addresses = message.addresses
    former = message.former
    refused = Dictionary(
      message.refused.map { ($0.address, $0.reason) }, uniquingKeysWith: { first, _ in first })
    surplus = message.surplus
    problem = message.problem.isEmpty ? nil : message.problem
    let isAnswered = message.answeredAgo >= 0
    answeredAgo = isAnswered ? message.answeredAgo : nil
    validFor = isAnswered ? message.validFor : nil
    nextLookIn = message.nextLookIn >= 0 ? message.nextLookIn : nil
  }
}

extension Istbpf_Control_V1_OutsideName {
  /// Its addresses, for a table.
  var addressText: String {
    let all = addresses + former.map { "(\($0))" }
    let shown = all.prefix(4).joined(separator: " ")
    return all.isEmpty ? "-" : all.count > 4 ? "\(shown) and \(all.count - 4) more" : shown
  }

  /// What is known of it and for how long, in a few words.
  var stateText: String {
    var parts: [String] = []
    if !problem.isEmpty {
      parts.append(addresses.isEmpty && former.isEmpty ? "CLOSED: \(problem)" : problem)
    } else if answeredAgo < 0 {
      parts.append("not looked up yet")
    }
    if answeredAgo >= 0 {
      parts.append("answered \(Self.seconds(answeredAgo)) ago")
      if problem.isEmpty { parts.append("holds for \(Self.seconds(max(validFor, 0)))") }
    }
    if nextLookIn >= 0 { parts.append("next look in \(Self.seconds(nextLookIn))") }
    parts += refused.map { "\($0.address) is not opened: \($0.reason)" }
    if surplus > 0 { parts.append("\(surplus) addresses too many are not opened") }
    return parts.joined(separator: ", ")
  }

  private static func seconds(_ seconds: Double) -> String { "\(Int(seconds.rounded())) s" }
}
