import EngineTestSupport
import Foundation
import TestSupport
import Testing

@Suite("The compose file of the documentation", .timeLimit(.minutes(10)))
struct ComposeTests {
  private static let documentation = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Documentation").standardizedFileURL

  /// The containers.conf that the documentation shows, with this test's wrapper.
  private func configuration(_ podman: PodmanLaboratory) throws -> String {
    let text = try String(
      contentsOf: Self.documentation.appendingPathComponent("containers.md"), encoding: .utf8)
    let block = try #require(
      text.components(separatedBy: "```toml\n").dropFirst().map {
        $0.components(separatedBy: "```")[0]
      }
      .first { $0.contains("[engine.runtimes]") })
    #expect(block.contains("/usr/local/bin/istbpf-oci"))
    return block.replacingOccurrences(of: "/usr/local/bin/istbpf-oci", with: podman.runtime)
  }

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

  @Test("podman-compose runs it, and app gets its answer of db, with podman configured as it says")
  func runs() async throws {
    try await PodmanLaboratory.with { podman in
      let entrypoint = try JSONEncoder().encode(["sh", "-c", Self.entrypoint, "sh"])
      try podman.importPostgres(
        as: "docker.io/library/postgres:16",
        changes: ["ENTRYPOINT \(String(decoding: entrypoint, as: UTF8.self))", "USER postgres"])
      let project = podman.network
      try podman.makeNetwork("\(project)_default")
      let program = try podman.configured(by: configuration(podman))
      let compose = try run(
        "podman-compose", "--podman-path", program, "-p", project, "--podman-run-args",
        podman.machineOptions.joined(separator: " "), "-f",
        Self.documentation.appendingPathComponent("compose.yaml").path, "up", "--detach")
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
