import Testing

@testable import WebInterface

@Suite("Who may open the page of istbpf ui")
struct PageGuardTests {
  @Test(
    "A request names loopback as its host, with any port",
    arguments: [
      ("127.0.0.1:8080", true), ("localhost", true), ("LOCALHOST:9", true), ("[::1]:8080", true),
      ("[::1]", true), ("127.0.0.1", true),
      ("evil.example", false), ("127.0.0.1.evil.example:80", false),
      ("localhost.evil.example", false),
      ("localhost:80:80", false), ("localhost:x", false), ("[::1]x", false), ("[::2]:80", false),
      ("", false), (":80", false), ("evil.example:127.0.0.1", false),
      ("127.0.0.1@evil.example", false),
    ])
  func host(_ authority: String, _ isLoopback: Bool) {
    #expect(PageGuard.isLoopback(authority) == isLoopback)
  }

  @Test("A token is the same as its own text, and as no other")
  func token() {
    let token = PageToken()
    #expect(token.text.count == 32)
    #expect(token.isSame(as: token.text[...]))
    let others = [
      "", String(token.text.dropLast()), token.text + "0", PageToken().text,
      "x" + token.text.dropFirst(),
    ]
    for other in others { #expect(!token.isSame(as: other[...]), "\(other)") }
  }
}
