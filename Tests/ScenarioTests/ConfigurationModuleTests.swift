import Foundation
import TestSupport
import Testing

@Suite("Services declared by warp.config.js", .timeLimit(.minutes(10)))
struct ConfigurationModuleTests {
  /// A directory that every user may read, with files by their paths in it.
  private func directory(_ runner: RunnerLaboratory, _ files: [String: String]) throws -> String {
    let directory = "/tmp/\(runner.installation.name)-modules"
    runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
    for (name, text) in files {
      let file = URL(fileURLWithPath: directory).appending(path: name)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: file)
    }
    return directory
  }

  private struct Status: Decodable {
    struct Deployment: Decodable { let services: [Service] }
    struct Service: Decodable, Equatable {
      let name: String
      let port: Int
      let `private`: Bool
      let egress: [String]
    }
    let deployments: [Deployment]
  }

  @Test("An object, a function and a promise of one declare services, several directories at once")
  func forms() async throws {
    try await RunnerLaboratory.with { runner in
      let directory = try directory(
        runner,
        [
          "object/warp.config.js": """
          module.exports = {
            container: 'web', image: 'x', build: {}, variables: {}, args: [], volumes: [],
            deployment: { port: 3000, include: [], egress: ['192.0.2.0/24:443'] },
          }
          """,
          "function/warp.config.js": """
          const { port } = require('./port.json')
          console.log('not part of the value')
          module.exports = () => ({ docker: 'db', private: true, deployment: { prot: 1, port } })
          """,
          "function/port.json": #"{"port": 3211}"#,
          "promise/warp.config.js": "module.exports = async () => ({})",
        ])
      let result = try runner.istbpf(
        "deploy", "-d", "shop", "\(directory)/object", "\(directory)/function/warp.config.js",
        "\(directory)/promise")
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.errors.contains("not part of the value\n"))
      #expect(
        result.errors.contains(#"warp.config.js:3: deployment has an unknown key "prot""#)
          && result.errors.contains(#"did you mean "port"?"#), "\(result.errors)")
      let status = try JSONDecoder().decode(
        Status.self, from: Data(try runner.istbpf("status", "--json").output.utf8))
      #expect(
        status.deployments.first?.services == [
          .init(name: "web", port: 3000, private: false, egress: ["192.0.2.0/24:443"]),
          .init(name: "db", port: 3211, private: true, egress: []),
          .init(name: "promise", port: 8080, private: false, egress: []),
        ])
    }
  }

  @Test("What is wrong with a module is said with its file, its line and JavaScript's message")
  func failures() async throws {
    try await RunnerLaboratory.with { runner in
      let cases = [
        ("undefined", "\n\nmodule.exports = nothing", ":3: ReferenceError: nothing is not defined"),
        (
          "syntax", "module.exports = {\n  a: 1\n  b: 2 }", ":3: SyntaxError: Unexpected identifier"
        ),
        (
          "late", "const f = () => {\n  null.x }\nmodule.exports = () => f()",
          ":2: TypeError: Cannot read properties of null"
        ),
        ("required", "module.exports = {\n  ...require('./no') }", ":2: Error: Cannot find module"),
        ("thrown", "throw 'text'", #": threw "text""#),
        ("number", "module.exports = () => 5", ": must be a JSON object, not 5"),
        ("nothing", "module.exports = () => {}", ": TypeError: undefined is no object"),
        (
          "unresolved", "\nmodule.exports = new Promise(() => {})",
          ":2: exports a promise that never resolves"
        ),
        (
          "unresolved-function", "module.exports = async () => await new Promise(() => {})",
          ":1: exports a promise that never resolves"
        ),
        (
          "slow", "module.exports = new Promise((done) => setTimeout(done, 60000))",
          ": gave no value within 10.0 seconds: it loops, or waits for a promise or a timer"
        ),
        (
          "undefined-port",
          "const file = {}\nmodule.exports = {\n  deployment: {\n    port: file.port } }",
          ":4: deployment.port: is undefined; leave it out, or give it a value"
        ),
        (
          "undefined-private", "module.exports = {\n  private: process.env.NOT_THERE }",
          ":2: private: is undefined"
        ),
        ("function-private", "module.exports = { private: () => true }", ":1: private: is a func"),
        (
          "inherited", "class C {\n  get private() { return true } }\nmodule.exports = new C()",
          ":2: private: is inherited or not enumerable"
        ),
        (
          "nan-port", "module.exports = { deployment: {\n  port: Number('x') } }",
          ":2: deployment.port: is NaN"
        ),
        ("empty", "", ": exports nothing; it must be a CommonJS module"),
        ("comment", "// module\n", ": exports nothing; it must be a CommonJS module"),
        ("misspelt", "module.exports = {\n  privat: true }", ":2: privat: is no key; did you mean"),
        (
          "services", "module.exports = {\n  services: { a: {} } }",
          ":2: services: a file declares one service"
        ),
        ("cycle", "module.exports = {}; module.exports.a = module.exports", ": TypeError: Convert"),
        ("module", "export default {}", "it must be a CommonJS module: module.exports = {...}"),
        (
          "key", "module.exports = { deployment: { port: '80' } }", ":1: deployment.port: must be a"
        ),
        ("ended", "process.exit(3)", ": gave no value: it ended Node with status 3"),
        ("long", "module.exports = { a: 'x'.repeat(2e6) }", ": its value is longer than 1048576"),
        ("endless", "while (true);", ": gave no value within 10"),
      ]
      let directory = try directory(
        runner, Dictionary(uniqueKeysWithValues: cases.map { ("\($0.0)/warp.config.js", $0.1) }))
      for (name, _, message) in cases {
        let result = try runner.istbpf("deploy", "-d", "shop", "\(directory)/\(name)")
        #expect(result.status == 1)
        #expect(
          result.errors.contains("\(directory)/\(name)/warp.config.js")
            && result.errors.contains(message), "\(name): \(result.errors)")
      }
      #expect(try runner.inspect("services").isEmpty)
    }
  }

  @Test("A module that leaves a process behind holds nobody up")
  func leftBehind() async throws {
    try await RunnerLaboratory.with { runner in
      let directory = try directory(
        runner,
        [
          "app/warp.config.js": """
          require('child_process').spawn('sleep', ['20'], { stdio: 'inherit' })
          module.exports = {}
          """
        ])
      let begin = Date()
      #expect(try runner.istbpf("deploy", "-d", "shop", "\(directory)/app").status == 0)
      #expect(Date().timeIntervalSince(begin) < 15)
    }
  }

  @Test("With sudo the module is evaluated as the user who called it, with none of root's rights")
  func sudo() async throws {
    try await RunnerLaboratory.with { runner in
      let module = """
        const fs = require('fs')
        const capabilities = /CapEff:\\s*(\\w+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]
        const who = [process.getuid(), process.getgid(), process.getgroups(), capabilities]
        module.exports = { container: 'u' + who.flat().join('-') }
        """
      let directory = try directory(runner, ["app/warp.config.js": module])
      func service(_ variables: String...) throws -> String {
        let result = try runner.istbpf(
          ["deploy", "-d", "shop", "--replace", "\(directory)/app"], wrapper: ["env"] + variables)
        #expect(result.status == 0, "\(result.errors)")
        return try #require(try runner.inspect("services").first?["service"])
      }
      #expect(try service("SUDO_UID=65534") == "u65534-65534-65534-0000000000000000")
      #expect(try service("SUDO_UID=0").hasPrefix("u0-0"))
      let unknown = try runner.istbpf(
        ["deploy", "-d", "shop", "\(directory)/app"], wrapper: ["env", "SUDO_UID=nobody-such"])
      #expect(unknown.status == 1 && unknown.errors.contains("user 'nobody-such' does not exist"))
    }
  }

  @Test("Of two forms the module is read, and without Node the other one, which is said")
  func both() async throws {
    try await RunnerLaboratory.with { runner in
      let directory = try directory(
        runner,
        [
          "two/warp.config.js": "module.exports = { container: 'module' }",
          "two/warp.config.json": #"{"container": "data"}"#,
          "one/warp.config.js": "module.exports = {}",
        ])
      let withNode = try runner.istbpf("deploy", "-d", "shop", "\(directory)/two")
      #expect(withNode.status == 0 && withNode.output.contains("module "))
      #expect(withNode.errors.contains("two has a warp.config.json too, which is not read"))
      let without = try runner.istbpf(
        ["deploy", "-d", "shop", "\(directory)/two"], wrapper: ["env", "PATH=/nowhere"])
      #expect(without.status == 0 && without.output.contains("data "))
      #expect(without.errors.contains("there is no Node for warp.config.js"), "\(without.errors)")
      let alone = try runner.istbpf(
        ["deploy", "-d", "shop", "\(directory)/one"], wrapper: ["env", "PATH=/nowhere"])
      #expect(
        alone.status == 1 && alone.errors.contains("install nodejs, or write a warp.config.json"))
    }
  }
}
