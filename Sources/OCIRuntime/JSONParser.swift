/// Why a text is no JSON.
package struct InvalidJSON: Error, Equatable, CustomStringConvertible {
  /// How many bytes are before what is wrong.
  let offset: Int
  let problem: String

  package var description: String { "\(problem) at byte \(offset)" }
}

extension JSONValue {
  /// The value that `text` is, and nothing beside it.
  package init(parsing text: [UInt8]) throws(InvalidJSON) {
    var parser = JSONParser(text: text)
    self = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.position == text.count else { throw parser.error("something after the value") }
  }
}

/// Goes through a text once, from front to back.
private struct JSONParser {
  let text: [UInt8]
  var position = 0

  /// The most values inside values; a config.json has about ten.
  private static let deepest = 256

  mutating func value(depth: Int) throws(InvalidJSON) -> JSONValue {
    guard depth < Self.deepest else { throw error("too many values inside values") }
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return try object(depth)
    case UInt8(ascii: "["): return try array(depth)
    case UInt8(ascii: "\""): return .scalar(try string())
    default: return .scalar(try word())
    }
  }

  private mutating func object(_ depth: Int) throws(InvalidJSON) -> JSONValue {
    var members: [JSONValue.Member] = []
    try list(until: UInt8(ascii: "}")) { parser throws(InvalidJSON) in
      guard parser.next == UInt8(ascii: "\"") else { throw parser.error("no name of a member") }
      let name = try parser.string()
      parser.skipSpace()
      guard parser.take(UInt8(ascii: ":")) else { throw parser.error("no colon after a name") }
      members.append(
        .init(
          rawName: name, name: JSONString.decoded(name), value: try parser.value(depth: depth + 1)))
    }
    return .object(members)
  }

  private mutating func array(_ depth: Int) throws(InvalidJSON) -> JSONValue {
    var elements: [JSONValue] = []
    try list(until: UInt8(ascii: "]")) { parser throws(InvalidJSON) in
      elements.append(try parser.value(depth: depth + 1))
    }
    return .array(elements)
  }

  /// What stands between a bracket and `end`, with commas between.
  private mutating func list(
    until end: UInt8, _ element: (inout JSONParser) throws(InvalidJSON) -> Void
  ) throws(InvalidJSON) {
    position += 1
    skipSpace()
    if take(end) { return }
    repeat {
      skipSpace()
      try element(&self)
      skipSpace()
    } while take(UInt8(ascii: ","))
    guard take(end) else { throw error("neither comma nor end") }
  }

  private mutating func string() throws(InvalidJSON) -> [UInt8] {
    let start = position
    position += 1
    while let byte = next {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return Array(text[start..<position])
      case UInt8(ascii: "\\"): position += 1
      case 0..<0x20: throw error("a control character in a string")
      default: break
      }
    }
    throw error("a string without an end")
  }

  /// A number or one of the three words. Numbers are not looked at closely: they are not changed.
  private mutating func word() throws(InvalidJSON) -> [UInt8] {
    let start = position
    while let byte = next, Self.isWordPart(byte) { position += 1 }
    let word = Array(text[start..<position])
    let isNumber = word.first.map { $0 == UInt8(ascii: "-") || Self.isDigit($0) } ?? false
    guard
      isNumber && Double(String(decoding: word, as: UTF8.self)) != nil
        || Self.words.contains(word)
    else {
      position = start
      throw error("no value")
    }
    return word
  }

  private static let words: [[UInt8]] = ["true", "false", "null"].map { Array($0.utf8) }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func isWordPart(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
      || byte == UInt8(ascii: "E") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
      || byte == UInt8(ascii: ".")
  }

  private var next: UInt8? { position < text.count ? text[position] : nil }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    position += 1
    return true
  }

  mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d {
      position += 1
    }
  }

  func error(_ problem: String) -> InvalidJSON {
    InvalidJSON(offset: min(position, text.count), problem: problem)
  }
}
