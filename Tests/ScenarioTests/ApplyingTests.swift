import Foundation
import TestSupport
import Testing

@testable import Dataplane

@Suite("What the kernel would not take is tried again", .timeLimit(.minutes(10)))
struct ApplyingTests {
  /// A key of the map `services`.
  private struct ServiceKey: BitwiseCopyable {
    var deployment: UInt32
    var service: UInt32
  }

  /// A value of the map `services`: 200 bytes.
  private struct NoService: BitwiseCopyable {
    typealias Words = (UInt64, UInt64, UInt64, UInt64, UInt64)
    var first: Words = (0, 0, 0, 0, 0)
    var second: Words = (0, 0, 0, 0, 0)
    var third: Words = (0, 0, 0, 0, 0)
    var fourth: Words = (0, 0, 0, 0, 0)
    var fifth: Words = (0, 0, 0, 0, 0)
  }

  /// The map `services` of a runner, full of services of deployments that nobody has.
  private struct FullServices {
    let map: BPFMap<ServiceKey, NoService>
    var keys: [ServiceKey] = []

    /// Takes out what is in it of nobody's.
    func empty() throws {
      for key in keys { try map.remove(key) }
    }
  }

  private func fillServices(_ runner: RunnerLaboratory) throws -> FullServices {
    var full = FullServices(
      map: try BPFMap("services", pinnedIn: runner.installation.pinDirectory))
    var isFull = false
    while !isFull && full.keys.count < 1_000_000 {
      let number = UInt32(full.keys.count)
      let key = ServiceKey(deployment: 16_000 + number / 500, service: number % 500 + 1)
      do { try full.map.set(NoService(), at: key) } catch {
        #expect("\(error)".contains("the map is full"))
        isFull = true
      }
      if !isFull { full.keys.append(key) }
    }
    #expect(isFull)
    return full
  }

  @Test("A service of another runner that could not be published is published once it can be")
  func cluster() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 2)
      let full = try fillServices(cluster[2])
      try cluster.deploy("shop", "cache")
      #expect(cluster[2].logs("the map is full"))
      #expect(try app.connect("198.18.3.1", 80) == "EHOSTUNREACH")
      // What it can do it does meanwhile.
      try cluster.instance(of: "shop/db", on: 1).listen(3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")

      try full.empty()
      #expect(
        try cluster[2].eventually(within: 40) {
          try app.connect("198.18.3.1", 80) == "ECONNREFUSED"
        }, "declared, and without an instance")
    }
  }

  @Test("A deployment of which the kernel takes a part is in effect once it takes the rest")
  func deploy() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      let full = try fillServices(runner)
      let refused = try runner.istbpf("deploy", "-d", "shop", "-s", "db", "-s", "cache")
      #expect(refused.status == 1)
      #expect(
        refused.errors.contains("shop is declared, but not all of it is in effect on this runner"))
      #expect(
        refused.errors.contains("the map is full") && refused.errors.contains("goes on trying"))
      #expect(try app.connect("198.18.2.1", 80) == "EHOSTUNREACH")
      #expect(try app.tell("resolve", "db.warp") == "198.18.2.1", "the hosts file needs no map")

      try full.empty()
      #expect(
        try runner.eventually(within: 40) {
          try app.connect("198.18.2.1", 80) == "ECONNREFUSED"
        })
      #expect(runner.logs("shop is in effect now"))
    }
  }

  @Test("Egress is revoked although something else of the same deployment cannot be done")
  func revoked() async throws {
    try await RunnerLaboratory.with { runner in
      func declare(_ rules: String, _ services: String...) throws -> CommandResult {
        let directory = "/tmp/\(runner.installation.name)-applying"
        runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
        try FileManager.default.createDirectory(
          atPath: directory, withIntermediateDirectories: true)
        try #"{"container": "app", "deployment": {"egress": [\#(rules)]}}"#.write(
          toFile: "\(directory)/warp.config.json", atomically: true, encoding: .utf8)
        return try runner.istbpf(
          ["deploy", "-d", "shop", directory] + services.flatMap { ["-s", $0] })
      }
      #expect(try declare("\"192.0.2.0/24:*\"").status == 0)
      #expect(try runner.inspect("egress").count == 1)
      let full = try fillServices(runner)
      #expect(try declare("", "db").status == 1)
      #expect(try runner.inspect("egress").isEmpty)
      try full.empty()
    }
  }

  @Test("What istbpf-relay cannot keep in its files is not said to be in effect, and is told again")
  func relayFiles() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "db")
      let directory = cluster[1].installation.relayDirectory
      let id = try #require(
        FileManager.default.contentsOfDirectory(atPath: "\(directory)/deployments").first)
      let paths = ["runners", "deployments/\(id)"]
      for path in paths {
        // In the place of a directory that has something in it no file can be put.
        try FileManager.default.removeItem(atPath: "\(directory)/\(path)")
        try FileManager.default.createDirectory(
          atPath: "\(directory)/\(path)/in the way", withIntermediateDirectories: true)
      }
      let refused = try cluster[1].istbpf("deploy", "-d", "shop", "-s", "cache")
      #expect(refused.status == 1)
      #expect(refused.errors.contains("not all of it is in effect on this runner"))
      #expect(try cluster[2].istbpf("runner", "drain", "runner2", "--timeout", "1").status == 0)
      #expect(cluster[1].logs("cannot take over a change of the cluster"))

      for path in paths {
        try FileManager.default.removeItem(atPath: "\(directory)/\(path)")
      }
      for path in paths {
        let isKept = cluster[1].eventually(within: 40) {
          FileManager.default.contents(atPath: "\(directory)/\(path)")?.isEmpty == false
        }
        #expect(isKept, "\(path)")
      }
      #expect(cluster[1].logs("istbpf-relay has taken over where runners are now"))
    }
  }

  @Test("A container's record that cannot be read keeps the daemon from starting, and is named")
  func damagedRecord() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      runner.killDaemon()
      let record = "\(runner.installation.containersDirectory)/131330.json"
      try "{".write(toFile: record, atomically: false, encoding: .utf8)
      let refused = try runner.refusedDaemon()
      #expect(refused.status == 1)
      #expect(refused.errors.contains(record) && refused.errors.contains("end the container"))
      try FileManager.default.removeItem(atPath: record)
      try runner.startDaemon()
    }
  }
}
