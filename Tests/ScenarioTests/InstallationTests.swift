import LinuxSystem
import TestSupport
import Testing

@Suite("Several installations on one machine", .timeLimit(.minutes(10)))
struct InstallationTests {
  @Test("Neither the start nor the removal of one touches the other, whatever their names")
  func sideBySide() async throws {
    try await RunnerLaboratory.with { second in
      try second.withNeighbour { first in
        for runner in [first, second] { try runner.deploy("shop", "app", "db") }
        let (app, db) = (try first.instance(of: "shop/app"), try first.instance(of: "shop/db"))
        try db.listen(3211)
        #expect(try second.instance(of: "shop/app").connect("$WARP_IST_db", 3211) == "ECONNREFUSED")

        second.killDaemon()
        try second.startDaemon()
        second.killDaemon()
        #expect(try second.istbpf("uninstall", "--force").status == 0)
        #expect(NetworkNamespace.exists(named: "\(first.installation.fabricPrefix)shop"))
        #expect(try first.istbpf("status").status == 0)
        #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      }
    }
  }
}
