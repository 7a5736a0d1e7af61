import Foundation
import LinuxSystem
import TestSupport
import Testing

@testable import Runner

@Suite("What the daemon refuses, it names", .timeLimit(.minutes(10)))
struct DaemonRefusalTests {
  private static let nobody = [
    "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--",
  ]

  @Test("Whoever is not root is told so by the daemon and by each command")
  func notRoot() async throws {
    try await RunnerLaboratory.with { runner in
      let daemon = try runner.refusedDaemon(wrapper: Self.nobody)
      #expect(daemon.status == 1 && daemon.errors.contains("it must be root"), "\(daemon.errors)")
      try runner.deploy("shop", "app")
      for (arguments, message) in [
        (["deploy", "-d", "shop", "-s", "app"], "only root and the group istbpf"),
        (["status"], "only root and the group istbpf"),
        (["run", "-d", "shop", "-s", "app", "--", "true"], "istbpf run must be root"),
        (["inspect"], "are you root?"), (["uninstall", "--force"], "you must be root"),
      ] {
        let result = try runner.istbpf(arguments, wrapper: Self.nobody)
        #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
      }
      #expect(try runner.istbpf("status").status == 0)
    }
  }

  @Test("Without a daemon the commands that need it say so")
  func notRunning() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      for arguments in [
        ["deploy", "-d", "shop", "-s", "app"], ["run", "-d", "shop", "-s", "app", "--", "true"],
        ["env", "shop/app"], ["ps"], ["status"],
      ] {
        let result = try runner.istbpf(arguments)
        #expect(result.status == 1)
        #expect(result.errors.contains("istbpfd is not running"), "\(arguments): \(result.errors)")
      }
      let inspect = try runner.istbpf("inspect")
      #expect(inspect.status == 1 && inspect.errors.contains("nothing is pinned"))
    }
  }

  @Test("A second daemon is told the first one's process, which goes on")
  func second() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let second = try runner.refusedDaemon()
      #expect(second.status == 1)
      #expect(
        second.errors.contains("istbpfd runs already, with pid \(runner.daemon?.processID ?? 0)"),
        "\(second.errors)")
      #expect(try runner.istbpf("run", "-d", "shop", "-s", "app", "--", "true").status == 0)
    }
  }

  @Test("A kernel before 6.1 is too old")
  func kernel() throws {
    let error = #expect(throws: RunnerError.self) {
      try Daemon.check(kernel: KernelRelease(6, 0, 99))
    }
    #expect(error?.description == "Linux 6.0.99 is too old: 6.1.0 or later is needed")
    #expect(throws: Never.self) { try Daemon.check(kernel: KernelRelease(6, 1)) }
  }

  @Test("A range that is no /15, and a log level that is none")
  func options() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let range = try runner.refusedDaemon(options: ["--range", "10.0.0.0/8"])
      #expect(range.status != 0 && range.errors.contains("'10.0.0.0/8' is no range"))
      let level = try runner.refusedDaemon(options: ["--log-level", "loud"])
      #expect(level.status != 0 && level.errors.contains("'loud' is no log level"))
    }
  }

  @Test("A configuration that is mistyped is refused, with its line and what was meant")
  func configuration() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let file = "/tmp/\(runner.installation.name).json"
      runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: file) }
      for (text, message) in [
        (
          "{\n  \"tunnel\": {\n    \"deneid\": \"/etc/istbpf/denied\" } }",
          #"\#(file):3: unknown key "tunnel.deneid"; did you mean "tunnel.denied"?"#
        ),
        (#"{"frontDoor": {"http": false}}"#, ":1: frontDoor.http must be a text, not false"),
        (#"{"cluster": 5}"#, ":1: cluster must be a text, not 5"),
        ("{\n  # alone\n}", ":2: is not JSON: it has a comment here"),
        (
          #"{"tunnel": {"address": "192.0.2.1:7443"}}"#,
          "cluster is missing, although there is tunnel.address"
        ),
        (
          #"{"frontDoor": {"certificates": "/c"}}"#,
          "frontDoor.domain is missing, although there is frontDoor.certificates"
        ),
      ] {
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let result = try runner.refusedDaemon(options: ["--config", file])
        #expect(result.status == 1 && result.errors.contains(message), "\(result.errors)")
      }
      let missing = try runner.refusedDaemon(options: ["--config", "/nowhere"])
      #expect(missing.status == 1 && missing.errors.contains("/nowhere does not exist"))
      let variable = try runner.refusedDaemon(wrapper: ["env", "ISTBPF_TUNNEL_DENID=/d"])
      #expect(
        variable.status == 1 && variable.errors.contains("did you mean ISTBPF_TUNNEL_DENIED?"),
        "\(variable.errors)")
    }
  }

  @Test("Another range is used throughout")
  func otherRange() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      try runner.startDaemon(options: ["--range", "10.66.0.0/15"])
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 10.66.2.2")
      #expect(try app.connect("198.18.2.1", 3211) == "EPERM")
    }
  }
}
