import Foundation
import LinuxSystem
import TestSupport
import Testing

@testable import Runner

@Suite("Connections are cut when those who had them may no longer", .timeLimit(.minutes(10)))
struct CutTests {
  /// A second on a machine of its own.
  private let second = Double(slowness)

  @Test(
    "Those of a removed service are reset at both ends at once, and its processes are unidentified")
  func removedService() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      for instance in [app, db] { try instance.listen(3211) }
      _ = try app.tell("hold", "$WARP_IST_db", 3211)
      _ = try db.tell("hold", "$WARP_IST_app", 3211)
      _ = try db.tell("hold", "127.0.0.1", 3211)

      let removed = try runner.istbpf("deploy", "-d", "shop", "--replace", "-s", "app")
      #expect(removed.status == 0 && removed.output.contains("removed db"), "\(removed.errors)")
      #expect(try app.tell("ending", "$WARP_IST_db", 3211, second) == "ECONNRESET")
      #expect(try db.tell("ending", "$WARP_IST_app", 3211, second) == "ECONNABORTED")
      #expect(try app.tell("served", 3211, second) == "ECONNRESET")
      #expect(try db.tell("served", 3211, second) == "ECONNABORTED")

      #expect(try app.connect("198.18.2.1", 3211) == "EHOSTUNREACH")
      #expect(try app.connect("198.18.2.2", 3211) == "EHOSTUNREACH")
      for address in ["$WARP_IST_app", "198.18.1.2", "198.18.2.2", "192.0.2.1"] {
        #expect(try db.connect(address, 3211) == "EPERM", "\(address)")
      }
      #expect(try db.tell("udp_send", "127.0.0.1", 53) == "EPERM")
      #expect(try db.tell("echo", "127.0.0.1", 3211) == "ping", "loopback is its own")
      #expect(try db.connect("127.0.0.1", 3211) == "shop/db at 127.0.0.1")
      #expect(try runner.listedInstances().map(\.instance) == ["shop/app.2"])
      #expect(try app.connect("198.18.1.2", 3211) == "shop/app at 198.18.1.2")
    }
  }

  @Test("A service that is declared again has nothing of the instance that lost it")
  func declaredAgain() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, old) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try old.listen(3211)
      let cgroup = try #require(try runner.listedInstances().last?.cgroup)
      #expect(try runner.istbpf("deploy", "-d", "shop", "--replace", "-s", "app").status == 0)
      try runner.deploy("shop", "db")
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")
      let new = try runner.instance(of: "shop/db")
      try new.listen(3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.3")
      #expect(try old.connect("198.18.2.3", 3211) == "EPERM")

      // Another daemon leaves it as it is.
      runner.killDaemon()
      try runner.startDaemon()
      #expect(try old.connect("198.18.2.3", 3211) == "EPERM")
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.3")
      #expect(FileManager.default.fileExists(atPath: cgroup))
      old.program.stop()
      #expect(runner.eventually { !FileManager.default.fileExists(atPath: cgroup) })
    }
  }

  @Test("A deployment that is removed and declared again leaves the old processes nobody")
  func removedDeployment() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let old = try runner.instance(of: "shop/app")
      try old.listen(3211)
      #expect(try runner.istbpf("deploy", "-d", "shop", "--replace").status == 0)
      #expect(try runner.inspect("deployments").isEmpty)
      #expect(try runner.inspect("fabric_links").isEmpty)
      try runner.deploy("other", "app")
      try runner.deploy("shop", "app")
      let (shop, other) = (
        try runner.instance(of: "shop/app"), try runner.instance(of: "other/app")
      )
      for instance in [shop, other] { try instance.listen(3211) }
      // Its number would be the old one's, whose cgroup still has a process.
      #expect(try shop.connect("198.18.1.1", 3211) == "shop/app at 198.18.1.3")
      #expect(try other.connect("198.18.1.1", 3211) == "other/app at 198.18.1.2")
      for address in ["198.18.1.1", "198.18.1.2", "198.18.1.3"] {
        #expect(try old.connect(address, 3211) == "EPERM", "\(address)")
      }
    }
  }

  @Test("What another process holds of an ended instance's connections is reset at both ends")
  func endedInstance() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let cgroup = try #require(
        try runner.listedInstances().first { $0.pids.contains(app.processID) }
      ).cgroup
      let holder = try TestInstance.outsider(
        by: PacketPrograms.enter(app.processID, cgroup: cgroup), of: runner.laboratory)
      #expect(try holder.tell("hold", "198.18.2.2", 3211) == "shop/db at 198.18.2.2")
      try CgroupHierarchy.find().root.add(holder.processID)
      app.program.stop()
      #expect(try holder.tell("ending", "198.18.2.2", 3211, second) == "ECONNABORTED")
      #expect(try db.tell("served", 3211, second) == "ECONNRESET")
    }
  }

  @Test("What an instance wrote before it ended is read to its end")
  func lastWords() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      #expect(try db.tell("pour", 3211, 1_000_000) == "pouring")
      let read = try app.tell("drink", "$WARP_IST_db", 3211)
      let written = try db.program.nextLine()
      #expect(read == written && (Int(read) ?? 0) > 65536)
    }
  }

  @Test("Connections that cannot be listed are not taken for drained")
  func unlisted() async throws {
    struct Unlisted: Error {}
    var (looks, reports) = (0, 0)
    await Runner.drain(within: .seconds(60)) {
      looks += 1
      if looks < 4 { throw Unlisted() }
      return []
    } report: { _ in
      reports += 1
    }
    #expect(looks == 4 && reports == 1)
    let begin = ContinuousClock.now
    await Runner.drain(within: .milliseconds(50)) {
      throw Unlisted()
    } report: { _ in
    }
    #expect(ContinuousClock.now - begin >= .milliseconds(50), "nor for longer than that")
  }

  @Test("A removed service's connections with other runners are reset at both ends")
  func otherRunner() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      for instance in [app, db] { try instance.listen(3211) }
      _ = try app.tell("hold", "$WARP_IST_db", 3211)
      _ = try db.tell("hold", "$WARP_IST_app", 3211)

      // Only its own runner can take an instance out.
      let arguments = ["deploy", "-d", "shop", "--replace", "-s", "app"]
      let refused = try cluster[1].istbpf(arguments)
      #expect(refused.status == 1)
      #expect(refused.errors.contains("shop/db.2 on runner2"), "\(refused.errors)")
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")

      #expect(try cluster[2].istbpf(arguments).status == 0)
      #expect(try app.tell("ending", "$WARP_IST_db", 3211, second) == "ECONNRESET")
      #expect(try app.tell("served", 3211, second) == "ECONNRESET")
      #expect(try db.tell("ending", "$WARP_IST_app", 3211, second) == "ECONNABORTED")
      #expect(try db.tell("served", 3211, second) == "ECONNABORTED")
      #expect(try db.connect("$WARP_IST_app", 3211) == "EPERM")
      #expect(
        try cluster[1].eventually { try app.connect("198.18.2.1", 3211) == "EHOSTUNREACH" })
    }
  }
}
