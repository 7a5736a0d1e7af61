import Foundation
import Model
import Testing

@Suite struct ConfigurationPageTests {
  private static let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Documentation/configuration.md").standardizedFileURL

  @Test func `the page of the configuration says of each key what the program says`() throws {
    let text = try String(contentsOf: Self.page, encoding: .utf8)
    let marker = "<!-- keys -->\n"
    let begin = try #require(text.range(of: marker)?.upperBound)
    let wanted = text[..<begin] + "\n" + ConfigurationKeys.markdown.dropLast()
    if ProcessInfo.processInfo.environment["ISTBPF_WRITE_TABLE"] != nil {
      return try String(wanted).write(to: Self.page, atomically: true, encoding: .utf8)
    }
    #expect(text == wanted, "run with ISTBPF_WRITE_TABLE=1 to write it")
  }

  @Test func `each key is declared once, with all that the page needs`() {
    let keys = ConfigurationKeys.all
    #expect(Set(keys.map(\.name)).count == keys.count)
    #expect(Set(keys.map(\.variable)).count == keys.count)
    for key in keys {
      #expect(key.sentence.hasSuffix("."), "\(key.name)")
      #expect(key.example != key.standard && !key.example.isEmpty, "\(key.name)")
      #expect(key.name.hasSuffix("Seconds") == (key.unit != nil), "\(key.name)")
      #expect(!(key.sentence + key.example).contains("|"), "\(key.name)")
    }
    #expect(keys.filter { !$0.isReported }.map(\.name) == ["etcd.user", "etcd.password"])
  }

  @Test func `everything that is wrong is said, not only the first`() {
    let json =
      "{\"cluster\": 5,\n\"tunel\": {},\n\"etcd\": {\n\"leaseSeconds\": \"3\",\n\"usr\": \"a\"}}"
    let faults = ConfigurationKeys.faults(json: json.utf8, file: "c").map(\.description)
    #expect(
      faults == [
        "c:1: cluster must be a text, not 5",
        "c:4: etcd.leaseSeconds must be a whole number, not the text \"3\"",
        "c:5: unknown key \"etcd.usr\"; did you mean \"etcd.user\"?",
        "c:2: unknown key \"tunel\"; did you mean \"tunnel\"?",
      ])
  }
}
