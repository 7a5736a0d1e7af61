import Foundation
import TestSupport
import Testing

@Suite("Declaring services", .timeLimit(.minutes(10)))
struct DeployTests {
  /// A directory for one test, with a `warp.config.json` in each subdirectory of `files`.
  private func directory(
    _ runner: RunnerLaboratory, _ files: [String: String]
  ) throws -> String {
    let directory = "/tmp/\(runner.installation.name)-files"
    runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
    for (name, json) in files {
      try FileManager.default.createDirectory(
        atPath: "\(directory)/\(name)", withIntermediateDirectories: true)
      try Data(json.utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)/warp.config.json"))
    }
    return directory
  }

  @Test("Files and directories declare services, and an unknown key is warned of")
  func files() async throws {
    try await RunnerLaboratory.with { runner in
      let directory = try directory(
        runner,
        [
          "app": #"{"container": "web", "deployment": {"port": 3000, "prot": 1}}"#,
          "db": "{}",
        ])
      let result = try runner.istbpf(
        "deploy", "-d", "shop", "\(directory)/app/warp.config.json", "\(directory)/db", "-s",
        "cache:6379")
      #expect(result.status == 0, "\(result.errors)")
      let rows = result.output.split(separator: "\n").map { $0.split(separator: " ") }
      #expect(
        rows.dropFirst() == [
          ["cache", "198.18.1.1", "6379"], ["web", "198.18.2.1", "3000"],
          ["db", "198.18.3.1", "8080"],
        ])
      #expect(result.errors.contains(#"warning: "#))
      #expect(
        result.errors.contains(#"unknown key "prot", which is ignored; did you mean "port"?"#))
    }
  }

  @Test("--replace removes what is not named, and keeps addresses")
  func replace() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "a", "b", "c")
      let b = try runner.instance(of: "shop/b")
      let replaced = try runner.istbpf("deploy", "-d", "shop", "--replace", "-s", "b", "-s", "c:1")
      #expect(replaced.status == 0 && replaced.output.contains("removed a"))
      #expect(try runner.inspect("services").map { $0["address"] } == ["198.18.2.1", "198.18.3.1"])
      // Who is in the midst of reading the hosts file finds the line whole, for a second.
      #expect(try runner.eventually { try b.tell("resolve", "a.warp") == "unknown name" })
      #expect(try b.connect("198.18.1.1", 80) == "EHOSTUNREACH")
      b.program.stop()

      #expect(try runner.eventually { try runner.listedInstances().isEmpty })
      #expect(try runner.istbpf("deploy", "-d", "shop", "--replace").status == 0)
      #expect(try runner.inspect("deployments").isEmpty)
      #expect(!runner.traces().contains("\(runner.installation.fabricPrefix)shop"))
    }
  }

  @Test("What a file has wrong is named with the file and the key")
  func badFiles() async throws {
    try await RunnerLaboratory.with { runner in
      let directory = try directory(
        runner,
        [
          "port": #"{"deployment": {"port": "http"}}"#, "syntax": "{",
          "name": #"{"container": "a b"}"#, "privat": "{\n  \"privat\": true\n}",
          "comment": "{\n  // its name\n  \"container\": \"db\"\n}",
          "services": #"{"services": {"app": {}, "db": {}}}"#, "blank": "\n",
        ])
      for (path, message) in [
        ("\(directory)/port", "port/warp.config.json:1: deployment.port: must be a whole number"),
        ("\(directory)/syntax", "syntax/warp.config.json:1: is not JSON"),
        (
          "\(directory)/name",
          "name/warp.config.json:1: container: \"a b\" is no name for a service"
        ),
        (
          "\(directory)/privat",
          #"privat/warp.config.json:2: privat: is no key; did you mean "private"?"#
        ),
        ("\(directory)/comment", "comment/warp.config.json:2: is not JSON: it has a comment here"),
        ("\(directory)/services", "services/warp.config.json:1: services: a file declares one"),
        ("\(directory)/blank", "blank/warp.config.json: is empty"),
        ("\(directory)/missing", "there is no file or directory \(directory)/missing"),
        (directory, "\(directory) has no warp.config.js and no warp.config.json"),
      ] {
        let result = try runner.istbpf("deploy", "-d", "shop", path)
        #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
      }
      #expect(try runner.inspect("services").isEmpty)
    }
  }
}
