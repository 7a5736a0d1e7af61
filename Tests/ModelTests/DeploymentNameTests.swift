import Model
import Testing

@Suite struct DeploymentNameTests {
  @Test(arguments: [
    "shop", "A", "0", "a-b_c.d", "Shop.2", String(repeating: "a", count: 63),
  ])
  func `a name of letters, digits and inner marks is taken as it is`(text: String) throws {
    #expect(try DeploymentName(text).rawValue == text)
  }

  @Test(arguments: [
    ("", "not be empty"),
    (String(repeating: "a", count: 64), "at most 63"),
    (String(repeating: "a", count: 300), "at most 63"),
    ("-shop", "begin and end"), ("shop-", "begin and end"),
    (".", "begin and end"), ("..", "begin and end"), ("_", "begin and end"),
    ("a/b", "a-z"), ("../x", "a-z"), ("a b", "a-z"), ("a\n", "a-z"), ("a\0", "a-z"),
    ("schön", "a-z"), ("e\u{301}", "a-z"), ("a=b", "a-z"), ("a:b", "a-z"),
  ])
  func `a name that breaks a rule is refused with that rule`(text: String, rule: String) {
    let error = #expect(throws: InvalidName.self) { try DeploymentName(text) }
    #expect(error?.rule.contains(rule) == true, "\(error?.description ?? "")")
    #expect(error?.name == text)
    #expect(error?.subject == .deployment)
  }

  @Test func `the message for a name of 300 characters is short and says how long the name is`() {
    let name = String(repeating: "a", count: 300)
    let error = #expect(throws: InvalidName.self) { try DeploymentName(name) }
    #expect(error.map { $0.description.count < 200 } == true)
    #expect(error?.description.contains("(300 characters)") == true)
  }

  @Test func `a message shows control characters escaped`() {
    let error = #expect(throws: InvalidName.self) { try DeploymentName("a\u{1b}[2J") }
    #expect(error?.description.contains("\u{1b}") == false)
    #expect(error?.description.contains(#"a\u{1b}[2J"#) == true)
  }
}
