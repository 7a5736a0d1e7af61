import Foundation
import TestSupport
import Testing

@Suite("Names inside, while instances run", .timeLimit(.minutes(5)))
struct LiveNamesTests {
  private struct Hosts: Decodable {
    let reads: Int
    let torn, missing, pairs: [String]
  }

  @Test("200 declarations appear at once, and no reader finds a torn hosts file or misses a name")
  func declarations() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      _ = try app.tell("read_hosts", ["localhost", "app.warp"])
      for number in 1...200 {
        try runner.deploy("shop", "s\(number)")
        let address = "198.18.\(number + 1).1"
        #expect(try app.tell("resolve", "s\(number).warp") == address)
      }
      let read = try JSONDecoder().decode(Hosts.self, from: Data(try app.tell("hosts_read").utf8))
      #expect(read.reads > 1000 && read.torn.isEmpty && read.missing.isEmpty, "\(read)")
      let names = Set((1...200).map { "198.18.\($0 + 1).1 s\($0).warp" })
      #expect(
        Set(read.pairs.filter { $0.hasSuffix(".warp") }) == names.union(["198.18.1.1 app.warp"]))

      // What is removed goes, and its room is used again.
      _ = try app.tell("read_hosts", ["localhost", "app.warp", "s1.warp"])
      #expect(
        try runner.istbpf(
          "deploy", "-d", "shop", "--service", "app", "--service", "s1", "--replace"
        )
        .status == 0)
      #expect(try runner.eventually { try app.tell("resolve", "s200.warp") == "unknown name" })
      try runner.deploy("shop", "new")
      #expect(try app.tell("resolve", "new.warp") == "198.18.202.1")
      let again = try JSONDecoder().decode(Hosts.self, from: Data(try app.tell("hosts_read").utf8))
      #expect(again.torn.isEmpty && again.missing.isEmpty, "\(again)")
      #expect(try app.tell("resolve", "s1.warp") == "198.18.2.1")
    }
  }

  @Test("env --watch tells what the next instance would get")
  func watch() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let watch = try Conversation(runner.commandLine(["env", "shop/app", "--watch", "--json"]))
      defer { watch.stop() }
      func next() throws -> [String: String] {
        try JSONDecoder().decode(
          [String: String].self, from: Data(try watch.nextLine(patience: 10).utf8))
      }
      #expect(try next()["WARP_IST_db"] == nil)
      try runner.deploy("other", "db")
      try runner.deploy("shop", "db:3211")
      #expect(try next()["WARP_IST_db"] == "198.18.2.1")
      try runner.deploy("shop", "app:81")
      #expect(try next()["WARP_PORT"] == "81")
      #expect(
        try runner.istbpf("deploy", "-d", "shop", "--service", "app:81", "--replace").status == 0)
      #expect(try next()["WARP_IST_db"] == nil)
      #expect(try runner.istbpf("deploy", "-d", "shop", "--service", "db", "--replace").status == 0)
      #expect(watch.awaitEnd() == 1)
      #expect(watch.errorText.contains("\"app\" is not declared"), "\(watch.errorText)")

      let shell = try Conversation(runner.commandLine(["env", "shop/db", "--watch"]))
      defer { shell.stop() }
      #expect(try shell.nextLine().hasPrefix("export WARP_IST_db="))
      #expect(runner.daemon?.terminate() == 0)
      #expect(shell.awaitEnd() == 1 && shell.errorText.contains("istbpfd has ended"))
    }
  }
}
