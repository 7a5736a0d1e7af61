import Foundation
import TestSupport
import Testing

/// What the page is told. The page itself is opened in a browser by Scripts/ui-test.
@Suite("istbpf ui", .timeLimit(.minutes(5)))
struct UITests {
  @Test(
    "Whoever has the token is told of connections, ports and denials as they are; others nothing")
  func feed() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211")
      let (db, app) = (try runner.instance(of: "shop/db"), try runner.instance(of: "shop/app"))
      try db.listen(3211)
      let page = try Conversation(runner.commandLine(["ui"]))
      defer { page.stop() }
      let address = try page.nextLine(patience: 20)
      let parts = address.split(separator: "#")
      #expect(parts.count == 2 && address.hasPrefix("http://127.0.0.1:"), "\(address)")
      func get(_ path: String, token: Substring) throws -> CommandResult {
        try run(
          "curl", "--silent", "--noproxy", "*", "--max-time", "4", "--header",
          "Authorization: Bearer \(token)", "\(parts[0])\(path)")
      }
      for path in ["api/status", "/api/status", "api/feed?deployment=shop"] {
        let refused = try get(path, token: "00000000000000000000000000000000")
        #expect(refused.output.contains("the token is missing or wrong"), "\(refused)")
        #expect(!refused.output.contains("shop"))
      }
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      // It ends by the time limit: a feed has no end of its own.
      let feed = try get("api/feed?deployment=shop", token: parts[1]).output
      #expect(feed.contains(#"{"instance":"shop/db.2","ports":[3211],"runner":"#), "\(feed)")
      #expect(
        feed.contains(#""local":{"name":"shop/app.2""#)
          && feed.contains(#""peer":{"name":"shop/db.2""#))
      #expect(feed.contains("event: status\n") && feed.contains("event: history\n"))
      let explained = try get(
        "api/explain?deployment=shop&service=app&target=192.0.2.1%3A443", token: parts[1])
      #expect(explained.output.contains(#""outcome":"EPERM""#))
      let unknown = try get("api/explain?deployment=shop&service=ap&target=db", token: parts[1])
      #expect(unknown.output.contains("app"), "\(unknown.output)")
    }
  }

  @Test("A port that is taken, and one that is none, are errors that say so")
  func ports() async throws {
    try await RunnerLaboratory.with { runner in
      let page = try Conversation(runner.commandLine(["ui"]))
      defer { page.stop() }
      let port = try #require(
        URL(string: try page.nextLine(patience: 20))?.port.map(String.init))
      let taken = try runner.istbpf("ui", "--port", port)
      #expect(taken.status == 1 && taken.errors.contains("port \(port)"), "\(taken)")
      let none = try runner.istbpf("ui", "--port", "70000")
      #expect(none.status == 64 && none.errors.contains("70000 is no port"), "\(none)")
    }
  }
}
