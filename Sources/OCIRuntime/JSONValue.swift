/// A JSON value that is written as it was read.
///
/// A config.json has more in it than the wrapper knows, and none of that may change: numbers and
/// strings keep their text, so that 9223372036854771712 or 1.0 stays what it is, and members keep
/// their order. Foundation's coders keep neither.
package enum JSONValue: Equatable, Sendable {
  /// A string with its quotes, a number, `true`, `false` or `null`, as it was read.
  case scalar([UInt8])
  case array([JSONValue])
  case object([Member])

  package struct Member: Equatable, Sendable {
    /// The name with its quotes, as it was read.
    let rawName: [UInt8]
    let name: String
    var value: JSONValue
  }

  static func string(_ text: String) -> JSONValue { .scalar(JSONString.encoded(text)) }

  static func integer(_ number: some BinaryInteger) -> JSONValue {
    .scalar(Array("\(number)".utf8))
  }

  static func strings(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }

  static func with(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
    var object = JSONValue.object([])
    for (name, value) in members { object[name] = value }
    return object
  }
}

extension JSONValue {
  /// The text of a string; nil for anything else.
  var string: String? {
    guard case .scalar(let text) = self, text.first == UInt8(ascii: "\"") else { return nil }
    return JSONString.decoded(text)
  }

  /// A number that is an unsigned integer; nil for anything else.
  var unsigned: UInt64? {
    guard case .scalar(let text) = self else { return nil }
    return UInt64(String(decoding: text, as: UTF8.self))
  }

  /// The elements of an array; none for anything else, such as the null that Go writes for no array.
  var elements: [JSONValue] {
    guard case .array(let elements) = self else { return [] }
    return elements
  }

  /// The members of an object; none for anything else.
  var members: [Member] {
    guard case .object(let members) = self else { return [] }
    return members
  }

  var isTrue: Bool { self == .scalar(Array("true".utf8)) }

  var isNull: Bool { self == .scalar(Array("null".utf8)) }

  /// A member of an object: of several with one name the last, as Go's decoder has it. A null is
  /// none. Set on something else, it makes that an object.
  subscript(name: String) -> JSONValue? {
    get { members.last { $0.name == name }.flatMap { $0.value.isNull ? nil : $0.value } }
    set {
      var members = members
      let place = members.firstIndex { $0.name == name }
      var member = place.map { members[$0] }
      members.removeAll { $0.name == name }
      if let newValue {
        member?.value = newValue
        let new = member ?? Member(rawName: JSONString.encoded(name), name: name, value: newValue)
        members.insert(new, at: min(place ?? members.count, members.count))
      }
      self = .object(members)
    }
  }

  /// The value's text, without white space.
  package var text: [UInt8] {
    var output: [UInt8] = []
    write(to: &output)
    return output
  }

  private func write(to output: inout [UInt8]) {
    switch self {
    case .scalar(let text): output += text
    case .array(let elements):
      output.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        element.write(to: &output)
      }
      output.append(UInt8(ascii: "]"))
    case .object(let members):
      output.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        output += member.rawName
        output.append(UInt8(ascii: ":"))
        member.value.write(to: &output)
      }
      output.append(UInt8(ascii: "}"))
    }
  }
}
