import Foundation
import TestSupport
import Testing

@Suite("What a command refuses, it names", .timeLimit(.minutes(10)))
struct BadArgumentTests {
  /// Expects that a command fails with `message` on standard error.
  private func refuses(
    _ runner: RunnerLaboratory, _ arguments: [String], _ message: String, status: Int32 = 1,
    location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try runner.istbpf(arguments)
    #expect(result.status == status, "\(result.errors)", sourceLocation: location)
    #expect(result.errors.contains(message), "\(result.errors)", sourceLocation: location)
  }

  @Test("Undeclared deployments and services, with what there is and what was meant")
  func undeclared() async throws {
    try await RunnerLaboratory.with { runner in
      try refuses(
        runner, ["run", "-d", "shop", "-s", "app", "--", "true"],
        "deployment \"shop\" is not declared; there are no deployments yet")
      try runner.deploy("shop", "app", "db")
      try refuses(
        runner, ["run", "-d", "shpo", "-s", "app", "--", "true"],
        "deployment \"shpo\" is not declared; did you mean \"shop\"?")
      try refuses(
        runner, ["run", "-d", "shop", "-s", "ap", "--", "true"],
        "service \"ap\" is not declared in deployment shop; did you mean \"app\"?")
      try refuses(runner, ["env", "shop/nobody"], "service \"nobody\" is not declared")
      try refuses(
        runner, ["deploy", "-d", "none", "--replace"], "deployment \"none\" is not declared")
      #expect(try runner.listedInstances().isEmpty)
    }
  }

  @Test("Illegal, empty, overlong and colliding names")
  func names() async throws {
    try await RunnerLaboratory.with { runner in
      let long = String(repeating: "n", count: 300)
      try refuses(runner, ["deploy", "-d", "", "-s", "app"], "\"\" is no name for a deployment")
      try refuses(runner, ["deploy", "-d", "a/b", "-s", "app"], "\"a/b\" is no name")
      try refuses(runner, ["deploy", "-d", long, "-s", "app"], "it has 300")
      for (service, message) in [
        ("", "\"\" is no name for a service"), ("a b", "white space"), (long, "it has 300"),
        ("-a", "begin and end with a letter or digit"), ("a/../b", "it has \"/\""),
      ] {
        let option = service.isEmpty ? ["--service", ""] : ["--service=\(service)"]
        try refuses(runner, ["deploy", "-d", "shop"] + option, message)
        try refuses(runner, ["run", "-d", "shop"] + option + ["--", "true"], message)
      }
      try refuses(
        runner, ["deploy", "-d", "shop", "-s", "my.db", "-s", "my-db"],
        "services \"my.db\" and \"my-db\" both become")
      try refuses(
        runner, ["deploy", "-d", "shop", "-s", "db", "-s", "db"], "\"db\" is declared twice")
      #expect(try runner.inspect("deployments").isEmpty)
    }
  }

  @Test("Ports that are none")
  func ports() async throws {
    try await RunnerLaboratory.with { runner in
      for port in ["", "0", "65536", "-1", "http", "1.5", "0080"] {
        try refuses(
          runner, ["deploy", "-d", "shop", "-s", "app:\(port)"], "\"\(port)\" is no port")
      }
      #expect(try runner.inspect("services").isEmpty)
    }
  }

  @Test("The 511th service and the 254th instance")
  func limits() async throws {
    try await RunnerLaboratory.with { runner in
      let services = (1...511).flatMap { ["--service", "s\($0)"] }
      try refuses(
        runner, ["deploy", "-d", "shop"] + services, "shop would have 511 services; 510 is the most"
      )
      #expect(try runner.inspect("services").isEmpty)
      #expect(try runner.istbpf(["deploy", "-d", "shop"] + services.dropLast(2)).status == 0)
      #expect(try runner.inspect("services").count == 510)
      try refuses(runner, ["deploy", "-d", "shop", "-s", "more"], "shop would have 511 services")
      #expect(try runner.inspect("services").count == 510)
      let last = try runner.instance(of: "shop/s510")
      #expect(try last.tell("variable", "WARP_IST_s510") == "198.19.254.1")
      try last.listen(80)
      #expect(try last.connect("s510.warp", 80) == "shop/s510 at 198.19.254.2")

      // Behind the daemon's back, which asks its registry each time.
      let rows = (3...254).map { "(1, 510, \($0), 'elsewhere')" }.joined(separator: ",")
      let database = runner.installation.registryPath
      let inserted = try run("sqlite3", database, "INSERT INTO instances VALUES \(rows)")
      #expect(inserted.status == 0, "\(inserted.errors)")
      try refuses(
        runner, ["run", "-d", "shop", "-s", "s510", "--", "true"],
        "service shop/s510 has 253 instances, the most that its /24 holds")
      #expect(try last.connect("s510.warp", 80) == "shop/s510 at 198.19.254.2")
    }
  }

  @Test("Commands that do not exist or are not executable, with a shell's status, leave nothing")
  func commands() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let run = ["run", "-d", "shop", "-s", "app", "--"]
      try refuses(runner, run + ["no-such-thing"], "no command no-such-thing in PATH", status: 127)
      try refuses(runner, run + ["/no/thing"], "no command /no/thing", status: 127)
      try refuses(runner, run + ["/etc/hostname"], "cannot execute /etc/hostname", status: 126)
      try refuses(runner, run + ["/etc"], "cannot execute /etc", status: 126)
      try refuses(runner, ["run", "-d", "shop", "-s", "app"], "name the command", status: 64)
      try refuses(
        runner, ["run", "-d", "shop", "-s", "app", "--user", "nosuch", "--", "true"], "nosuch")
      try refuses(
        runner, ["run", "-d", "shop", "-s", "app", "--env", "=x", "--", "true"],
        "is not of the form NAME=VALUE", status: 64)
      #expect(try runner.eventually { try runner.listedInstances().isEmpty })
      #expect(try runner.inspect("fabric_links").isEmpty)
    }
  }

  @Test("A service that is not written as deployment/service")
  func references() async throws {
    try await RunnerLaboratory.with { runner in
      for reference in ["shop", "/app", "shop/", ""] {
        try refuses(runner, ["env", reference], "service", status: 64)
      }
    }
  }
}
