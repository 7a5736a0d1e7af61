import EngineTestSupport
import Foundation
import TestSupport
import Testing

@Suite("Ports that engines publish", .timeLimit(.minutes(10)))
struct PublishedPortTests {
  private struct Answer: Decodable {
    let outcome, reason, why: String
  }

  private func why(
    _ runner: RunnerLaboratory, _ service: String, _ target: String
  ) throws -> String {
    let result = try runner.istbpf("explain", service, target, "--json")
    try #require(result.status == 0, "\(target): \(result.errors)")
    let answer = try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
    #expect(answer.outcome == "EPERM" && answer.reason == "foreign-address", "\(target)")
    return answer.why
  }

  /// The number behind the last colon of what an engine says of a published port.
  private func port(_ text: String) throws -> Int {
    let line = text.split(separator: "\n").first { $0.contains("0.0.0.0:") } ?? ""
    return try #require(line.split(separator: ":").last.flatMap { Int($0) }, "\(text)")
  }

  /// That nothing comes in by it, what `explain` says of it, and what the daemon says at once.
  private func expectNowhere(
    _ runner: RunnerLaboratory, _ gateway: String, _ port: Int, program: String, at target: String
  ) throws {
    let outside = try run("nc", "-w", "2", gateway, "\(port)")
    #expect(outside.output.isEmpty, "\(outside)")
    #expect(try runner.eventually { try runner.denials("shop/db", "inbound") > 0 })
    let own = try why(runner, "shop/app", "\(gateway):\(port)")
    for words in [
      "this machine's own on", "\(program) listens on port \(port) for shop/db.2",
      "leads nowhere", "Connect to \(target);", "istbpf connect shop/\(target)",
    ] { #expect(own.contains(words), "\(words): \(own)") }
    let other = try why(runner, "other/app", "\(gateway):\(port)")
    #expect(other.contains("shop/db.2") && other.contains("public URL of shop/db"), "\(other)")
    #expect(runner.logs("port \(port) of this machine is published"))
  }

  @Test("One of Docker's leads nowhere for an instance; explain and the log say so, and what does")
  func docker() async throws {
    try await DockerLaboratory.with { docker in
      let network = docker.runner.installation.name
      try docker.succeed("network", "create", network)
      let gateway = try docker.succeed(
        "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)
      for (name, service) in [("db", "shop/db"), ("plain", nil)] {
        let started = try run(
          docker.commandLine(
            service,
            ["--detach", "--network", network, "--publish", "3211", "--name", name],
            ["nc", "-ll", "-p", "3211", "-e", "echo", "hello"]))
        #expect(started.status == 0, "\(started.errors)")
      }
      try expectNowhere(
        docker.runner, gateway, port(docker.succeed("port", "db", "3211")),
        program: "docker-proxy", at: "db:3211")
      let plain = try port(docker.succeed("port", "plain", "3211"))
      #expect(try run("nc", "-w", "2", gateway, "\(plain)").output == "hello\n")
      let text = try why(docker.runner, "shop/app", "\(gateway):\(plain)")
      #expect(text.contains("for a container of no service"), "\(text)")
      #expect(text.contains("add \"\(gateway):\(plain)\""), "\(text)")
    }
  }

  @Test("One of podman's leads nowhere for an instance; explain and the log say so, and what does")
  func podman() async throws {
    try await PodmanLaboratory.with { podman in
      try podman.runner.deploy("other", "app")
      let started = try run(
        podman.commandLine(
          ["run", "--detach", "--name", "db", "--publish", "3211"] + podman.options("shop/db")
            + ["tools", "nc", "-ll", "-p", "3211", "-e", "echo", "hello"]))
      #expect(started.status == 0, "\(started.errors)")
      try expectNowhere(
        podman.runner, podman.gateway(), port(podman.succeed("port", "db").output),
        program: "conmon", at: "db")
    }
  }
}
