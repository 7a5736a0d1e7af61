import FoundationEssentials

/// Any value of JSON.
enum JSONValue: Decodable {
  case null
  case boolean(Bool)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

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
    } else if let value = try? container.decode([JSONValue].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSONValue].self))
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

/// Reads the values of one `warp.config.json`, and names file and key where one is wrong.
struct DeclarationDocument {
  let file: String

  func invalid(_ key: String?, _ reason: String) -> InvalidDeclaration {
    InvalidDeclaration(file, key: key, reason)
  }

  func parse(_ json: Data) throws(InvalidDeclaration) -> [String: JSONValue] {
    let value: JSONValue
    do { value = try JSONDecoder().decode(JSONValue.self, from: json) } catch {
      throw invalid(nil, json.isEmpty ? "is empty" : "is not JSON: \(Self.reason(of: error))")
    }
    guard case .object(let root) = value else {
      throw invalid(nil, "must be a JSON object, not \(value.summary)")
    }
    return root
  }

  func object(_ value: JSONValue, _ key: String) throws(InvalidDeclaration) -> [String: JSONValue] {
    guard case .object(let object) = value else {
      throw invalid(key, "must be an object, not \(value.summary)")
    }
    return object
  }

  func string(_ value: JSONValue, _ key: String) throws(InvalidDeclaration) -> String {
    guard case .string(let string) = value else {
      throw invalid(key, "must be a text, not \(value.summary)")
    }
    return string
  }

  func boolean(_ value: JSONValue, _ key: String) throws(InvalidDeclaration) -> Bool {
    guard case .boolean(let boolean) = value else {
      throw invalid(key, "must be true or false, not \(value.summary)")
    }
    return boolean
  }

  func port(_ value: JSONValue, _ key: String) throws(InvalidDeclaration) -> PortNumber {
    guard case .number(let number) = value, let whole = Int(exactly: number),
      let port = try? PortNumber(whole)
    else {
      throw invalid(key, "must be a whole number from 1 to 65535, not \(value.summary)")
    }
    return port
  }

  func egress(_ value: JSONValue, _ key: String) throws(InvalidDeclaration) -> [EgressRule] {
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
