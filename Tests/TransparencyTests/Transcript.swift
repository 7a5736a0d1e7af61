import Foundation

/// What both ends of a case saw: by end and label, such as `client: connect`.
struct Transcript: Equatable, Sendable {
  /// What was seen, by label.
  private(set) var seen: [String: String] = [:]
  /// The labels in their order.
  private(set) var labels: [String] = []

  /// Reads what `Programs/peer.py` wrote.
  init(readingFrom path: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let ends = try JSONDecoder().decode([String: [[Value]]].self, from: data)
    for end in ["client", "server"] {
      for pair in ends[end] ?? [] where pair.count == 2 {
        let label = "\(end): \(pair[0].text)"
        labels.append(label)
        seen[label] = pair[1].text
      }
    }
  }

  /// The labels under which `other` has something else, or nothing.
  func differences(from other: Transcript) -> [String] {
    (labels + other.labels.filter { seen[$0] == nil }).filter { seen[$0] != other.seen[$0] }
  }

  /// A value of JSON as text.
  private struct Value: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() {
        text = "done"
      } else if let bool = try? container.decode(Bool.self) {
        text = bool ? "yes" : "no"
      } else if let number = try? container.decode(Int.self) {
        text = "\(number)"
      } else if let list = try? container.decode([Value].self) {
        text = "[\(list.map(\.text).joined(separator: ", "))]"
      } else {
        text = try container.decode(String.self)
      }
    }
  }
}
