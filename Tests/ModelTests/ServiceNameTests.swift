import Model
import Testing

/// 42 letters and 126 octets, all different, since Punycode makes a short label of one repeated.
private let varied = String(
  String.UnicodeScalarView((0..<42).compactMap { Unicode.Scalar(0x4e00 + $0 * 97 as UInt32) }))

@Suite struct ServiceNameTests {
  @Test(arguments: [
    ("app", "app"), ("App", "app"), ("my_app", "my-app"), ("my.app", "my-app"),
    ("my__db", "my--db"), ("7", "7"),
    ("ä", "xn--4ca"), ("Ä", "xn--4ca"), ("a\u{308}", "xn--4ca"), ("ß", "xn--zca"),
    ("日本", "xn--wgv71a"), ("münchen_1", "xn--mnchen-1-65a"),
    (String(repeating: "a", count: 63), String(repeating: "a", count: 63)),
  ])
  func `a name becomes one label of a host name`(text: String, label: String) throws {
    let name = try ServiceName(text)
    #expect(name.hostName == label)
    #expect(name.hostName.utf8.allSatisfy { $0 < 0x80 })
    #expect(name.rawValue.utf8.elementsEqual(text.utf8))
  }

  @Test(arguments: [
    ("app", nil), ("my_app2", nil), ("7", nil),
    ("my-app", "WARP_IST_my_app"), ("my.app", "WARP_IST_my_app"), ("ä1", "WARP_IST__1"),
    ("a\u{308}1", "WARP_IST__1"),
  ])
  func `a name that no shell can name has a second variable`(text: String, second: String?) throws {
    let name = try ServiceName(text)
    #expect(name.variableName == "WARP_IST_\(text)")
    #expect(name.shellVariableName == second)
  }

  @Test(arguments: [
    ("", "not be empty"),
    (String(repeating: "a", count: 64), "at most 63 octets"),
    (String(repeating: "a", count: 128), "at most 127 octets"),
    (String(repeating: "a", count: 300), "at most 127 octets"),
    (varied, "at most 63 octets"),
    ("-a", "begin and end"), ("a-", "begin and end"), ("..", "begin and end"),
    ("\u{308}a", "begin and end"),
    ("a b", "letters, digits"), ("a\u{a0}b", "letters, digits"), ("a\tb", "letters, digits"),
    ("a/b", "letters, digits"), ("a=b", "letters, digits"), ("a\0b", "letters, digits"),
    ("a\nb", "letters, digits"), ("a\u{1b}b", "letters, digits"), ("a\u{200d}b", "letters, digits"),
    ("a:b", "letters, digits"), ("a$b", "letters, digits"), ("🐘", "letters, digits"),
    ("a٣", "IDNA"), ("ää--b", "IDNA"),
  ])
  func `a name that breaks a rule is refused with that rule`(text: String, rule: String) {
    let error = #expect(throws: InvalidName.self) { try ServiceName(text) }
    #expect(error?.rule.contains(rule) == true, "\(error?.description ?? "")")
    #expect(error?.subject == .service)
    #expect(error.map { $0.description.count < 250 } == true)
  }

  @Test(arguments: [
    ("a_b", "a-b"), ("a.b", "a-b"), ("app", "App"), ("ä", "a\u{308}"), ("ä", "Ä"),
    ("ä", "ö"), ("münchen", "xn--mnchen-3ya"), ("app", "app"),
  ])
  func `names that meet in host name or variable collide`(first: String, second: String) throws {
    let names = try [ServiceName("other"), ServiceName(first), ServiceName(second)]
    let collision = try #require(NameCollision.first(among: names))
    #expect(collision.first == names[1])
    #expect(collision.second == names[2])
  }

  @Test func `names that meet nowhere do not collide`() throws {
    let names = try ["app", "db", "app2", "a-b", "ab", "ä"].map { try ServiceName($0) }
    #expect(NameCollision.first(among: names) == nil)
  }

  @Test func `two ways to write a letter are two names`() throws {
    let composed = try ServiceName("\u{e4}")
    let decomposed = try ServiceName("a\u{308}")
    #expect(composed != decomposed)
    #expect(Set([composed, decomposed]).count == 2)
  }
}
