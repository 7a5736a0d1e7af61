import Foundation
import TestSupport
import Testing

@Suite("PostgreSQL and its client in containers", .timeLimit(.minutes(10)))
struct PostgresTests {
  /// The archive is kept among the build's products.
  private static func image() throws -> String {
    let products = URL(fileURLWithPath: try Product.istbpfOCI()).deletingLastPathComponent()
    let archive = products.appendingPathComponent("images/postgres.tar").path
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Programs/postgres-image").path
    let made = try run(script, archive)
    #expect(made.status == 0, "\(made.errors)")
    return archive
  }

  @Test("They talk through WARP_IST_db, with a bridge and without a network")
  func query() async throws {
    try await PodmanLaboratory.with { podman in
      try podman.succeed("import", try Self.image(), "postgres")
      let server = """
        initdb -D /tmp/data -A trust >/dev/null && echo 'host all all 198.18.0.0/15 trust' \
        >>/tmp/data/pg_hba.conf && exec postgres -D /tmp/data -p 3211 -c listen_addresses='*'
        """
      let started = try run(
        podman.commandLine(
          ["run", "--detach", "--name", "db", "--user", "postgres"] + podman.options("shop/db")
            + ["postgres", "sh", "-c", server]))
      #expect(started.status == 0, "\(started.errors)")
      for network in [podman.network, "none"] {
        let query = """
          for n in $(seq 240); do pg_isready -q -h $WARP_IST_db -p 3211 && break; sleep 0.25; done
          psql -h $WARP_IST_db -p 3211 -U postgres -tA -c 'SELECT inet_client_addr(), 40 + 2'
          """
        let answer = try run(
          podman.commandLine(
            ["run", "--rm", "--user", "postgres"] + podman.options("shop/app", network: network)
              + ["postgres", "sh", "-c", query]))
        let log = try podman.podman("logs", "db").errors
        #expect(
          answer.output.hasPrefix("198.18.1.") && answer.output.hasSuffix("|42\n"),
          "\(network): \(answer.output)\(answer.errors)\(log)")
      }
    }
  }
}
