import FoundationEssentials

/// Where the values of a JSON text stand, so that a message can name the line; or what is wrong with
/// the text, in words that its author understands.
///
/// A key that an object has twice is wrong too: a decoder would pass one of the two over.
public struct JSONOutline: Sendable {
  /// The lines, from 1, of values by the path of their keys: `deployment.egress[0]`. Values that are
  /// deeper than any key which is looked at have none.
  public let lines: [String: Int]

  /// The outline of `text`, which is UTF-8. Throws `JSONFault`.
  public init(_ text: some Sequence<UInt8>) throws(JSONFault) {
    var scanner = JSONScanner(Array(text))
    try scanner.scan()
    lines = scanner.lines
  }
}

/// What makes a text no JSON.
public struct JSONFault: Error, Hashable, Sendable {
  /// The line, from 1; nil where the text as a whole is wrong.
  public let line: Int?
  /// What is wrong, and what would be right.
  public let cause: String
}

/// Reads a JSON text once, from its beginning to its end. What a decoder finds wrong with a number or
/// an escape is left to the decoder.
private struct JSONScanner {
  private let text: [UInt8]
  private var index = 0
  private var line = 1
  private(set) var lines: [String: Int] = [:]

  /// How deep values may be nested.
  private static let depthLimit = 128
  /// How deep lines are kept.
  private static let keptDepth = 4

  init(_ text: [UInt8]) {
    self.text = text
    if text.starts(with: [0xef, 0xbb, 0xbf]) { index = 3 }
  }

  mutating func scan() throws(JSONFault) {
    guard try next() != nil else { throw JSONFault(line: nil, cause: "is empty") }
    try value("", depth: 0)
    if let left = try next() { throw fault("has \(shown(left)) after its end") }
  }

  private func fault(_ cause: String, line: Int? = nil) -> JSONFault {
    JSONFault(line: line ?? self.line, cause: cause)
  }

  /// The next character that is no white space, which is not taken.
  private mutating func next() throws(JSONFault) -> UInt8? {
    while index < text.count {
      switch text[index] {
      case UInt8(ascii: "\n"): line += 1
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): break
      case UInt8(ascii: "/"), UInt8(ascii: "#"):
        throw fault("has a comment here, and JSON knows none: a warp.config.js may have them")
      default: return text[index]
      }
      index += 1
    }
    return nil
  }

  private mutating func value(_ path: String, depth: Int) throws(JSONFault) {
    guard depth < Self.depthLimit else { throw fault("is nested too deeply") }
    guard let first = try next() else {
      throw fault("ends where a value is missing: is it cut off?")
    }
    if depth <= Self.keptDepth, lines[path] == nil { lines[path] = line }
    switch first {
    case UInt8(ascii: "{"): try object(path, depth: depth)
    case UInt8(ascii: "["): try array(path, depth: depth)
    case UInt8(ascii: "\""): _ = try string()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      while index < text.count, isNumeric(text[index]) { index += 1 }
    default:
      let word = word()
      if ["true", "false", "null"].contains(word) { return }
      throw fault(
        word.isEmpty
          ? "has \(shown(first)) where a value is missing"
          : "has \(quoted(word)) where a value is needed: a text stands in double quotes")
    }
  }

  private mutating func object(_ path: String, depth: Int) throws(JSONFault) {
    let begin = line
    index += 1
    var seen: [String: Int] = [:]
    while let first = try next() {
      if first == UInt8(ascii: "}") {
        guard seen.isEmpty else { throw fault("has a comma before } that is one too many") }
        index += 1
        return
      }
      guard first == UInt8(ascii: "\"") else {
        let word = word()
        throw fault(
          word.isEmpty
            ? "has \(shown(first)) where a key in double quotes is needed"
            : "has the key \(word) without double quotes")
      }
      let keyLine = line
      let key = try string()
      if let before = seen.updateValue(keyLine, forKey: key) {
        throw fault("has the key \(quoted(key)) twice, first in line \(before)", line: keyLine)
      }
      guard try next() == UInt8(ascii: ":") else {
        throw fault("has no colon after the key \(quoted(key))")
      }
      index += 1
      let inner = path.isEmpty ? key : "\(path).\(key)"
      if depth < Self.keptDepth { lines[inner] = keyLine }
      try value(inner, depth: depth + 1)
      guard let after = try next() else { break }
      index += 1
      if after == UInt8(ascii: "}") { return }
      guard after == UInt8(ascii: ",") else {
        throw fault("has \(shown(after)) after the value of \(quoted(key)): is a comma missing?")
      }
    }
    throw fault("ends before the { of line \(begin) is closed: is it cut off?")
  }

  private mutating func array(_ path: String, depth: Int) throws(JSONFault) {
    let begin = line
    index += 1
    var count = 0
    while let first = try next() {
      if first == UInt8(ascii: "]") {
        guard count == 0 else { throw fault("has a comma before ] that is one too many") }
        index += 1
        return
      }
      try value("\(path)[\(count)]", depth: depth + 1)
      count += 1
      guard let after = try next() else { break }
      index += 1
      if after == UInt8(ascii: "]") { return }
      guard after == UInt8(ascii: ",") else {
        throw fault("has \(shown(after)) after a value of a list: is a comma missing?")
      }
    }
    throw fault("ends before the [ of line \(begin) is closed: is it cut off?")
  }

  /// The text between double quotes, of which the first is next.
  private mutating func string() throws(JSONFault) -> String {
    let begin = index
    index += 1
    while index < text.count {
      let octet = text[index]
      guard octet >= 0x20 else { break }
      index += octet == UInt8(ascii: "\\") ? 2 : 1
      if octet == UInt8(ascii: "\"") {
        let raw = Data(text[begin..<index])
        guard let string = try? JSONDecoder().decode(String.self, from: raw) else {
          throw fault("has an invalid text: \(quoted(String(decoding: raw, as: UTF8.self)))")
        }
        return string
      }
    }
    throw fault("has a text whose closing double quote is missing")
  }

  /// Takes the letters, digits and so on that stand here.
  /// At most 64 octets of them are given.
  private mutating func word() -> String {
    let begin = index
    while index < text.count, isWordPart(text[index]) { index += 1 }
    return String(decoding: text[begin..<index].prefix(64), as: UTF8.self)
  }

  private func isWordPart(_ octet: UInt8) -> Bool {
    octet >= 0x80 || octet == UInt8(ascii: "_") || octet == UInt8(ascii: "$")
      || octet == UInt8(ascii: ".") || Unicode.Scalar(octet).isASCIIAlphanumeric
  }

  private func isNumeric(_ octet: UInt8) -> Bool {
    "+-.eE0123456789".utf8.contains(octet)
  }

  private func shown(_ octet: UInt8) -> String {
    octet == UInt8(ascii: "'") ? "a '" : quoted(String(Unicode.Scalar(octet)))
  }
}
