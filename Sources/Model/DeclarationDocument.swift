import FoundationEssentials

/// Any value of JSON.
enum DeclaredValue: Decodable {
  case null
  case boolean(Bool)
  case number(Double)
  case string(String)
  case array([DeclaredValue])
  case object([String: DeclaredValue])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .boolean(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode([DeclaredValue].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: DeclaredValue].self))
    }
  }

  /// How a message names it.
  var summary: String {
    switch self {
    case .null: "null"
    case .boolean(let value): "\(value)"
    case .number(let value): Int(exactly: value).map { "\($0)" } ?? "\(value)"
    case .string(let value): "the text \(quoted(value))"
    case .array: "a list"
    case .object: "an object"
    }
  }
}

/// Reads the values of one `warp.config.json`, and names file, line and key where one is wrong.
struct DeclarationDocument {
  let file: String
  /// The lines of the values by their keys' paths, as far as they are known.
  let lines: [String: Int]
  /// What the file holds.
  let root: [String: DeclaredValue]

  /// Reads `json`, which is the file itself, or where `lines` are given what a module came to.
  init(_ json: Data, file: String, lines: [String: Int]?) throws(InvalidDeclaration) {
    self.file = file
    if let lines {
      self.lines = lines
    } else {
      do { self.lines = try JSONOutline(json).lines } catch {
        throw InvalidDeclaration(
          file, line: error.line, key: nil,
          error.line == nil ? error.cause : "is not JSON: it \(error.cause)")
      }
    }
    let value: DeclaredValue
    do { value = try JSONDecoder().decode(DeclaredValue.self, from: json) } catch {
      throw InvalidDeclaration(file, key: nil, "is not JSON: \(Self.reason(of: error))")
    }
    guard case .object(let root) = value else {
      throw InvalidDeclaration(file, key: nil, "must be a JSON object, not \(value.summary)")
    }
    self.root = root
  }

  func invalid(_ key: String?, _ reason: String) -> InvalidDeclaration {
    InvalidDeclaration(file, line: key.flatMap(line), key: key, reason)
  }

  /// The line of a value; of one in a list whose own is not known, the list's.
  private func line(_ key: String) -> Int? {
    lines[key] ?? lines[String(key.prefix { $0 != "[" })]
  }

  /// A sentence on the value of `key` that begins with its file and line.
  func warning(_ key: String, _ sentence: String) -> String {
    "\(file)\(line(key).map { ":\($0)" } ?? ""): \(sentence)"
  }

  func object(_ value: DeclaredValue, _ key: String) throws(InvalidDeclaration) -> [String:
    DeclaredValue]
  {
    guard case .object(let object) = value else {
      throw invalid(key, "must be an object, not \(value.summary)")
    }
    return object
  }

  func string(_ value: DeclaredValue, _ key: String) throws(InvalidDeclaration) -> String {
    guard case .string(let string) = value else {
      throw invalid(key, "must be a text, not \(value.summary)")
    }
    return string
  }

  func boolean(_ value: DeclaredValue, _ key: String) throws(InvalidDeclaration) -> Bool {
    guard case .boolean(let boolean) = value else {
      throw invalid(key, "must be true or false, not \(value.summary)")
    }
    return boolean
  }

  func port(_ value: DeclaredValue, _ key: String) throws(InvalidDeclaration) -> PortNumber {
    guard case .number(let number) = value, let whole = Int(exactly: number),
      let port = try? PortNumber(whole)
    else {
      throw invalid(key, "must be a whole number from 1 to 65535, not \(value.summary)")
    }
    return port
  }

  func timeout(_ value: DeclaredValue, _ key: String) throws(InvalidDeclaration) -> RequestTimeout {
    guard case .number(let number) = value, let whole = Int(exactly: number),
      let timeout = RequestTimeout(seconds: whole)
    else {
      let allowed = RequestTimeout.allowed
      throw invalid(
        key,
        "must be a whole number of seconds from \(allowed.lowerBound) to \(allowed.upperBound), not "
          + value.summary)
    }
    return timeout
  }

  func egress(_ value: DeclaredValue, _ key: String) throws(InvalidDeclaration) -> [EgressRule] {
    guard case .array(let values) = value else {
      throw invalid(key, "must be a list of texts, not \(value.summary)")
    }
    var rules: [EgressRule] = []
    for (index, value) in values.enumerated() {
      let place = "\(key)[\(index)]"
      let text = try string(value, place)
      do { rules.append(try EgressRule(text)) } catch { throw invalid(place, "\(error)") }
    }
    return rules
  }

  /// The parser's own words, which say where in the text it stopped.
  private static func reason(of error: any Error) -> String {
    guard case DecodingError.dataCorrupted(let context) = error else { return "\(error)" }
    return context.underlyingError.map { "\($0)" } ?? context.debugDescription
  }
}
