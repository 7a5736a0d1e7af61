import EngineTestSupport
import TestSupport
import Testing

@Suite("PostgreSQL and its client in containers", .timeLimit(.minutes(10)))
struct PostgresTests {
  /// Starts PostgreSQL on port 3211 as `shop/db`, in the container `db`.
  private func startServer(_ podman: PodmanLaboratory, network: String? = nil) throws {
    let server = """
      initdb -D /tmp/data -A trust >/dev/null && echo 'host all all 198.18.0.0/15 trust' \
      >>/tmp/data/pg_hba.conf && exec postgres -D /tmp/data -p 3211 -c listen_addresses='*'
      """
    let started = try run(
      podman.commandLine(
        ["run", "--detach", "--name", "db", "--user", "postgres"]
          + podman.options("shop/db", network: network) + ["postgres", "sh", "-c", server]))
    #expect(started.status == 0, "\(started.errors)")
  }

  /// Queries it as `shop/app`, once it is up: it is to know where from.
  private func expectAnswer(
    _ client: PodmanLaboratory, network: String, of server: PodmanLaboratory
  ) throws {
    let query = """
      for n in $(seq 240); do pg_isready -q -h $WARP_IST_db -p 3211 && break; sleep 0.25; done
      psql -h $WARP_IST_db -p 3211 -U postgres -tA -c 'SELECT inet_client_addr(), 40 + 2'
      """
    let answer = try run(
      client.commandLine(
        ["run", "--rm", "--user", "postgres"] + client.options("shop/app", network: network)
          + ["postgres", "sh", "-c", query]))
    let log = try server.podman("logs", "db").errors
    #expect(
      answer.output.hasPrefix("198.18.1.") && answer.output.hasSuffix("|42\n"),
      "\(network): \(answer.output)\(answer.errors)\(log)")
  }

  @Test("They talk through WARP_IST_db, with a bridge and without a network")
  func query() async throws {
    try await PodmanLaboratory.with { podman in
      try podman.importPostgres()
      try startServer(podman)
      for network in [podman.network, "none"] {
        try expectAnswer(podman, network: network, of: podman)
      }
    }
  }

  @Test("So they do across two runners, whichever of them has a bridge and whichever no network")
  func queryAcross() async throws {
    try await PodmanLaboratory.withCluster { cluster, near, far in
      for podman in [near, far] { try podman.importPostgres() }
      for network in [far.network, "none"] {
        try startServer(far, network: network)
        #expect(
          try cluster[1].eventually { try cluster[1].reachable("shop/db").count == 1 },
          "\(network)")
        for network in [near.network, "none"] {
          try expectAnswer(near, network: network, of: far)
        }
        try far.succeed("rm", "--force", "--time", "0", "db")
        #expect(try cluster[1].eventually { try cluster[1].reachable("shop/db").isEmpty })
      }
      // It went through tunnels: there is no other way between the runners.
      let metrics = try cluster.get("/metrics", from: 2)
      let streams = metrics.split(separator: "\n").first {
        $0.hasPrefix("istbpf_streams_accepted_total ")
      }
      #expect(streams.flatMap { Int($0.split(separator: " ")[1]) } ?? 0 >= 8, "\(metrics)")
    }
  }
}
