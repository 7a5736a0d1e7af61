import Foundation
import TestSupport
import Testing

@Suite("The data path does not need the daemon", .timeLimit(.minutes(10)))
struct SurvivalTests {
  /// `ISTBPF_SURVIVAL_REQUESTS`: how many requests a load has, one every 10 ms.
  private static var requests: Int {
    ProcessInfo.processInfo.environment["ISTBPF_SURVIVAL_REQUESTS"].flatMap { Int($0) } ?? 1500
  }

  @Test("With the daemon killed, connections go on, new ones work and the walls stand")
  func killed() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      try runner.deploy("other", "app")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      let other = try runner.instance(of: "other/app")
      try db.listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      runner.killDaemon()

      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      // What begins to listen only now is found too.
      try db.listen(3212)
      #expect(try app.connect("db.warp", 3212) == "shop/db at 198.18.2.2")
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
      #expect(try app.tell("udp_send", "192.0.2.1", 53) == "EPERM")
      #expect(try other.connect("198.18.2.2", 3211) == "EHOSTUNREACH")
      #expect(try runner.denials("shop/app", "foreign-address") == 1, "inspect works meanwhile")
    }
  }

  @Test("Not one request fails while the daemon is killed and started again, several times")
  func restartedUnderLoad() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let total = Self.requests
      _ = try app.tell("load", "$WARP_IST_db", 3211, total, 10)
      var restarts = 0
      while Int(try app.tell("requests")) ?? total < total - 200 {
        runner.killDaemon()
        usleep(200_000)
        try runner.startDaemon()
        restarts += 1
        usleep(500_000)
      }
      #expect(try app.tell("result") == "0 of \(total) failed")
      #expect(restarts >= 3)
      let slowest = try app.tell("slowest")
      print("\(total) requests, \(restarts) restarts, the slowest took \(slowest) ms")
      #expect(try runner.istbpf("status").status == 0)
    }
  }

  @Test("A daemon that starts adopts what runs, with its programs and its numbers")
  func adoption() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let before = try runner.istbpf("ps", "--json").output
      #expect(runner.daemon?.terminate() == 0)
      try runner.startDaemon()
      #expect(try runner.istbpf("ps", "--json").output == before)
      #expect(try runner.istbpf("status").status == 0)
      let second = try runner.instance(of: "shop/db")
      try second.listen(3211)
      #expect(try app.tally("$WARP_IST_db", 3211, times: 40).count == 2)
      db.program.stop()
      #expect(try runner.eventually { try runner.listedInstances().count == 2 })
    }
  }

  @Test("An instance that ended while there was no daemon is cleaned up by the next one")
  func endedMeanwhile() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let gone = try #require(try runner.listedInstances().first { $0.instance.contains("db") })
      runner.killDaemon()
      db.program.stop()
      try runner.startDaemon()

      #expect(try runner.listedInstances().map(\.address) == ["198.18.1.2"])
      #expect(!FileManager.default.fileExists(atPath: gone.cgroup))
      #expect(try runner.inspect("fabric_links").map { $0["address"] } == ["198.18.1.2"])
      #expect(try runner.inspect("listeners").isEmpty)
      let fabric = "\(runner.installation.fabricPrefix)shop"
      let links = try run("ip", "-br", "-n", fabric, "link").output.split(separator: "\n")
      #expect(links.filter { $0.hasPrefix("db") }.isEmpty)
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")
    }
  }
}
