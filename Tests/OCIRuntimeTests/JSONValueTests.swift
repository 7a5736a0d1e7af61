import Testing

@testable import OCIRuntime

@Suite("JSON that is edited")
struct JSONValueTests {
  private func value(_ text: String) throws -> JSONValue {
    try JSONValue(parsing: Array(text.utf8))
  }

  private func text(_ value: JSONValue) -> String { String(decoding: value.text, as: UTF8.self) }

  @Test(
    "Numbers, strings and the order of members come out as they went in",
    arguments: [
      "9223372036854771712", "18446744073709551615", "-0", "1.0", "1e400", "0.1000",
      "123456789012345678901234567890", "\"\\u003ca\\u0026\\ud800 \\/\"", "\"ä€😀\"", "[]", "{}",
      "{\"z\":1,\"a\":{\"z\":null,\"a\":[true,false]},\"a\":2}",
    ])
  func unchanged(_ text: String) throws {
    #expect(try self.text(value(text)) == text)
  }

  @Test("What is edited changes, and what stands around it does not")
  func edited() throws {
    var edited = try value(
      " { \"limit\" : 9223372036854771712 , \"process\" : { \"env\" : [ \"A=1\" ] , \"new\" : 1.0 } } "
    )
    edited["process"]?["env"] = .strings(["B=\"\\\n"])
    edited["annotations"]?["nothing"] = .string("there")
    #expect(
      text(edited)
        == #"{"limit":9223372036854771712,"process":{"env":["B=\"\\\u000a"],"new":1.0}}"#)
  }

  @Test("Of two members with one name the last counts, and setting it leaves one")
  func duplicates() throws {
    var object = try value(#"{"a":1,"b":2,"a":3}"#)
    #expect(object["a"]?.unsigned == 3)
    object["a"] = .integer(4)
    #expect(text(object) == #"{"a":4,"b":2}"#)
    object["a"] = nil
    #expect(text(object) == #"{"b":2}"#)
  }

  @Test("Escapes in names and strings are understood")
  func escapes() throws {
    let object = try value(#"{"\u0061nn":"\ud83d\ude00\n\"\\x\ud800."}"#)
    #expect(object["ann"]?.string == "😀\n\"\\x\u{fffd}.")
  }

  @Test(
    "What is no JSON is refused, with the place",
    arguments: [
      ("", 0), ("{", 1), ("[1,]", 3), ("{\"a\" 1}", 5), ("{a:1}", 1), ("nul", 0), ("+1", 0),
      ("\"a", 2), ("\"a\u{1}\"", 3), ("1 2", 2), ("[1", 2), ("nan", 0),
    ])
  func invalid(_ text: String, _ offset: Int) {
    let error = #expect(throws: InvalidJSON.self) { try value(text) }
    #expect(error?.offset == offset, "\(text): \(error?.description ?? "")")
  }

  @Test("A million brackets are refused, not a crash")
  func deep() {
    #expect(throws: InvalidJSON.self) { try value(String(repeating: "[", count: 1_000_000)) }
  }
}
