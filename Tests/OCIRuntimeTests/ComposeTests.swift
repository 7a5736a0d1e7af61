import EngineTestSupport
import Foundation
import TestSupport
import Testing

@Suite("The compose file of the documentation", .timeLimit(.minutes(10)))
struct ComposeTests {
  /// The containers.conf that the documentation shows, with this test's wrapper.
  private func configuration(_ podman: PodmanLaboratory) throws -> String {
    try Documentation.block("toml", with: "[engine.runtimes]")
      .replacingOccurrences(of: "/usr/bin/istbpf-oci", with: podman.runtime)
  }

  private static let file = Documentation.directory.appendingPathComponent("compose.yaml").path

  /// Does what the official image does with the file's variables and commands, which cannot be had
  /// without the Internet.
  private static let entrypoint = """
    if [ "$1" = postgres ]; then
      echo "$POSTGRES_PASSWORD" >/tmp/password
      initdb -D /tmp/data -A scram-sha-256 --pwfile /tmp/password -U postgres >/dev/null
      echo "host all all all scram-sha-256" >>/tmp/data/pg_hba.conf
      echo "listen_addresses = '*'" >>/tmp/data/postgresql.conf
      export PGDATA=/tmp/data
    fi
    exec "$@"
    """

  private static func imageChanges() throws -> [String] {
    let entrypoint = try JSONEncoder().encode(["sh", "-c", entrypoint, "sh"])
    return ["ENTRYPOINT \(String(decoding: entrypoint, as: UTF8.self))", "USER postgres"]
  }

  @Test("docker-compose runs it, and app gets its answer of db")
  func runsWithDocker() async throws {
    try await DockerLaboratory.with { docker in
      try docker.importPostgres(
        as: "docker.io/library/postgres:16", changes: Self.imageChanges())
      let project = docker.runner.installation.name
      func compose(_ arguments: String...) throws -> CommandResult {
        try run(
          ["DOCKER_HOST=unix://\(docker.socket)", "/usr/bin/docker-compose", "-p", project, "-f"]
            + [Self.file] + arguments)
      }
      let up = try compose("up", "--detach")
      #expect(up.status == 0, "\(up.output)\(up.errors)")
      var log = ""
      let hasAnswer = try docker.runner.eventually(within: 90) {
        log = try compose("logs").output
        return log.contains(" 42\n") && log.contains("(1 row)")
      }
      #expect(hasAnswer, "\(log)")
      let listed = try docker.runner.listedInstances()
      #expect(listed.map(\.engine) == ["docker"] && listed.allSatisfy { $0.isGuarded }, "\(listed)")
      let down = try compose("down", "--timeout", "0")
      #expect(down.status == 0, "\(down.errors)")
      #expect(try docker.runner.eventually { try docker.runner.listedInstances().isEmpty })
    }
  }

  @Test("podman-compose runs it, and app gets its answer of db, with podman configured as it says")
  func runs() async throws {
    try await PodmanLaboratory.with { podman in
      try podman.importPostgres(as: "docker.io/library/postgres:16", changes: Self.imageChanges())
      let project = podman.network
      try podman.makeNetwork("\(project)_default")
      let program = try podman.configured(by: configuration(podman))
      let compose = try run(
        "podman-compose", "--podman-path", program, "-p", project, "--podman-run-args",
        podman.machineOptions.joined(separator: " "), "-f",
        Self.file, "up", "--detach")
      #expect(compose.status == 0, "\(compose.output)\(compose.errors)")
      var logs: [CommandResult] = []
      let hasAnswer = try podman.runner.eventually(within: 90) {
        logs = try ["app", "db"].map { try run(program, "logs", "\(project)_\($0)_1") }
        return logs[0].output.contains(" 42\n(1 row)")
      }
      #expect(hasAnswer, "\(logs)\(compose.output)\(compose.errors)")
      #expect(try podman.instances().contains("db"))
      for arguments in [
        ["rm", "--all", "--force", "--time", "0"], ["network", "rm", "\(project)_default"],
      ] { #expect(try run([program] + arguments).status == 0) }
    }
  }
}
