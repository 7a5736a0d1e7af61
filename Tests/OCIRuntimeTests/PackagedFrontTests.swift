import Foundation
import TestSupport
import Testing

@testable import OCIRuntime

@Suite("The program before the wrapper")
struct PackagedFrontTests {
  private let fixture: PackagedFront
  private let directory, front, configuration: String

  init() throws {
    fixture = try PackagedFront()
    (directory, front, configuration) = (fixture.directory, fixture.path, fixture.configuration)
  }

  private func isPassedOn(_ words: [String], environment: [String] = []) throws -> Bool {
    try fixture.isPassedOn(words, environment: environment)
  }

  private static let passed = [
    "list", "--root ROOT list", "--root=ROOT list -q", "state ID", "delete --force ID",
    "kill ID TERM", "start ID", "pause ID", "resume ID", "ps ID", "events --stats ID",
    "--log ROOT/log --log-format json --systemd-cgroup --debug state ID",
  ]

  @Test("It passes on what it knows, with the runtime's own answer")
  func passesOn() throws {
    for line in Self.passed {
      let words = line.replacing("ROOT", with: directory).split(separator: " ").map(String.init)
      #expect(try isPassedOn(words), "\(line)")
    }
    let root = "\(directory)/containers"
    let own = try run("runc", "--root", root, "list")
    let ours = try run(front, "--root", root, "list")
    #expect(own.status == ours.status && own.output == ours.output && ours.output.hasPrefix("ID"))
    #expect(try run(front, "--root", root, "state", "no-such").status != 0)
  }

  @Test("What it passes on the wrapper would have passed on as well, by the wrapper's own reading")
  func agrees() throws {
    for line in Self.passed {
      let words = line.split(separator: " ").map(String.init)
      #expect(try RuntimeArguments(words).command == nil, "\(line)")
      #expect(try ExecArguments(words) == nil, "\(line)")
      #expect(!WrapperDescription.isAsked(by: words), "\(line)")
    }
  }

  @Test(
    "All else is for the wrapper to read",
    arguments: [
      "", "create --bundle /b ID", "run ID", "exec ID sh", "restore ID", "checkpoint ID",
      "update ID", "features", "spec", "--version", "-v", "--help", "help", "istbpf-hook attach",
      "--root", "--log", "--rootless state ID", "--rootless=true state ID", "--criu x state ID",
      "-root /r state ID", "--roo /r state ID", "--root /r -- state ID", "-- state ID", "- state",
      "--unknown state ID", "--unknown=x state ID", "--root=/r create ID", "--log state create ID",
      "State ID", "stat ID", "--debug --root /r exec ID state", "--=x state ID",
      "--root-and-a-name-that-is-longer-than-any=x state ID",
    ])
  func passesNot(_ line: String) throws {
    #expect(try !isPassedOn(line.split(separator: " ").map(String.init)), "\(line)")
  }

  @Test("Nothing is passed on where something is said of the wrapper, or may be")
  func configured() throws {
    for variable in ["ISTBPF_OCI_RUNTIME=/usr/sbin/runc", "ISTBPF_INSTALLATION=other"] {
      #expect(try !isPassedOn(["list"], environment: [variable]))
    }
    func write(_ text: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: configuration))
    }
    for text in [
      #"{"oci": {"runtime": "/usr/sbin/crun"}}"#, #"{"OCI": 1}"#, #"{"\u006fci": {}}"#,
      #"{"a": "\n"}"#, "{\"a\": \"\0\"}",
      "{\"a\": \"" + String(repeating: "x", count: 70_000) + "\"}",
    ] {
      try write(text)
      #expect(try !isPassedOn(["list"]), "\(text.prefix(40))")
    }
    try write(#"{"metrics": {"address": "127.0.0.1:9464"}}"#)
    #expect(try isPassedOn(["list"]))
    chmod(configuration, 0)
    try FileManager.default.removeItem(atPath: configuration)
    try FileManager.default.createDirectory(
      atPath: configuration, withIntermediateDirectories: false)
    #expect(try !isPassedOn(["list"]))
  }

  @Test("The wrapper knows by which path it was called, and gets the arguments as they are")
  func path() throws {
    let link = "\(directory)/runc"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: front)
    let result = try run(link, "create", "--bundle", "a b", "ID")
    #expect(result.output.contains("create --bundle a b ID"), "\(result.output)")
    #expect(result.output.hasPrefix("wrapper"))
  }

  @Test("Without the wrapper it says what is missing")
  func broken() throws {
    try FileManager.default.removeItem(atPath: "\(directory)/lib/istbpf/istbpf")
    let result = try run(front, "create", "ID")
    #expect(result.status == 1)
    #expect(result.errors.contains("lib/istbpf/istbpf: No such file or directory"))
  }
}
