import Foundation
import Glibc
import LinuxSystem
import Model
import Relay
import TestSupport
import Testing

@testable import Runner

@Suite("What one runner tells of the others", .timeLimit(.minutes(10)))
struct AllRunnersTests {
  private struct Status: Decodable {
    struct Instance: Decodable { let instance, runner: String }
    struct Service: Decodable {
      let name: String
      let denials: [String: Int]
    }
    struct Deployment: Decodable {
      let name: String
      let services: [Service]
      let instances: [Instance]
    }
    let deployments: [Deployment]
    let silent: [String: String]

    /// The instances of a deployment, with their runners.
    func places(_ deployment: String) -> [String] {
      (deployments.first { $0.name == deployment }?.instances ?? [])
        .map { "\($0.instance) \($0.runner)" }.sorted()
    }
  }

  private struct Row: Decodable {
    let service: String
    let instances, listening, incoming, outgoing: Int
    let sent, received: Double
    let denials: Int
  }

  private func status(_ runner: RunnerLaboratory) throws -> Status {
    let result = try runner.istbpf("status", "--all-runners", "--json")
    return try JSONDecoder().decode(Status.self, from: Data(result.output.utf8))
  }

  @Test(
    "Status has other runners' instances and denials, of deployments that this one serves alone")
  func statusOfAll() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      try cluster.deploy("other", "app")
      _ = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      _ = try cluster.instance(of: "other/app", on: 2)
      #expect(try db.connect("192.0.2.1", 443) == "EPERM")
      let here = try status(cluster[1])
      #expect(here.places("shop") == ["shop/app.2 runner1", "shop/db.2 runner2"])
      #expect(here.places("other").isEmpty && here.silent.isEmpty)
      let service = here.deployments.first { $0.name == "shop" }?.services.first { $0.name == "db" }
      #expect(service?.denials.values.reduce(0, +) == 1, "\(here)")
      let table = try cluster[1].istbpf("status", "--all-runners", "-d", "shop")
      #expect(table.status == 0 && table.output.contains("runner2"), "\(table)")
      cluster[2].killDaemon()
      let broken = try cluster[1].istbpf("status", "--all-runners", "-d", "shop")
      #expect(broken.status == 1 && broken.errors.contains("runner2 does not answer"), "\(broken)")
      #expect(broken.output.contains("shop/app.2"))
      let top = try cluster[1].istbpf("top", "--all-runners", "--json")
      #expect(top.errors.contains("runner2 does not answer") && top.output.contains("shop/app"))
      for command in ["ps", "status", "top"] {
        let unknown = try cluster[1].istbpf(command, "-d", "shp")
        #expect(
          unknown.status == 1 && unknown.errors.contains("did you mean \"shop\"?"), "\(unknown)")
      }
    }
  }

  @Test("A connection between two runners is observed once, and a denial where it happens")
  func observed() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      for number in [1, 2] {
        let observation = try cluster[number].observe("--all-runners")
        #expect(try app.connect("$WARP_IST_db", 3211).hasPrefix("shop/db"))
        let seen = [try observation.next(), try observation.next()]
        #expect(seen.map(\.event) == ["opened", "closed"] && seen.allSatisfy { $0.pid != nil })
        #expect(seen.allSatisfy { $0.runner == "runner1" }, "seen on runner \(number): \(seen)")
        #expect(try db.connect("192.0.2.1", 443) == "EPERM")
        let denied = try observation.next()
        #expect(denied.event == "denied" && denied.runner == "runner2", "\(denied)")
        #expect(observation.rest(patience: 0.5).isEmpty)
      }
      let observation = try cluster[1].observe("--all-runners", "--denied")
      cluster[2].killDaemon()
      let silent = try observation.next("silent", within: 40)
      #expect(silent.runner == "runner2" && silent.problem?.isEmpty == false, "\(silent)")
      try cluster[2].startDaemon()
      #expect(
        try cluster[1].eventually(within: 40) {
          _ = try db.connect("192.0.2.1", 443)
          return observation.rest(patience: 0.5).contains { $0.event == "denied" }
        })
    }
  }

  @Test("Top shows what passes between runners, each connection once")
  func top() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      for (options, listening) in [(["--all-runners"], 1), ([], 0)] {
        let result = try cluster[1].istbpf(["top", "--json", "--count", "1"] + options)
        let rows = try JSONDecoder().decode([Row].self, from: Data(result.output.utf8))
        let found = Dictionary(uniqueKeysWithValues: rows.map { ($0.service, $0) })
        #expect(found["shop/app"]?.outgoing == 1 && found["shop/app"]?.incoming == 0)
        #expect(found["shop/db"]?.incoming == 1 && found["shop/db"]?.outgoing == 0)
        #expect(found["shop/db"]?.listening == listening, "\(options) \(result.output)")
      }
      let table = try cluster[1].istbpf("top", "--all-runners", "--sort", "bytes")
      #expect(table.status == 0 && table.output.contains("shop/db"), "\(table)")
    }
  }

  @Test("A question is answered to a runner of the deployment alone, and garbage ends the stream")
  func asked() async throws {
    try await ClusterLaboratory.with(runners: 3) { cluster in
      try cluster.deploy("shop", "app", "db")
      _ = try cluster.instance(of: "shop/app", on: 1)
      _ = try cluster.instance(of: "shop/db", on: 2)
      let gateway = "198.18.0.1"
      let stranger = try RogueRunner(cluster, as: 3)
      #expect(try stranger.ask(2, "shop", from: gateway, to: gateway, 1) == EACCES)
      #expect(try stranger.ask(2, "nosuch", from: gateway, to: gateway, 1) == EACCES)
      let member = try RogueRunner(cluster, as: 1)
      #expect(try member.ask(2, "shop", from: gateway, to: gateway, 1) == 0)
      // A length of 4 GiB, a message that is none, and nothing at all.
      for bytes: [UInt8] in [[255, 255, 255, 255, 1], [0, 0, 0, 2, 255, 255], [0, 0, 0, 0]] {
        let pair = try TCPSocketPair()
        try member.say(bytes, on: pair, to: 2, "shop", from: gateway, to: gateway, 1)
      }
      #expect(try status(cluster[1]).places("shop").count == 2, "it goes on")
    }
  }

  @Test("A runner of a version that knows no questions is shown as such")
  func older() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      _ = try cluster.instance(of: "shop/app", on: 1)
      _ = try cluster.instance(of: "shop/db", on: 2)
      #expect(try status(cluster[1]).silent.isEmpty)
      // What is known of runner 2 stays while etcd is away; in its place is one that says what older ones say.
      cluster.etcd.stop()
      cluster[2].killAll()
      let old = try RogueRunner(cluster, as: 2, answering: EHOSTUNREACH)
      try old.listen()
      let told = try status(cluster[1])
      #expect(told.silent["runner2"]?.contains("older") == true, "\(told)")
      #expect(told.places("shop") == ["shop/app.2 runner1"])
    }
  }

  @Test("A runner that asks without end is refused until it has waited")
  func limit() {
    var limit = QuestionLimit()
    let start = ContinuousClock.now
    var taken = 0
    for _ in 0..<1000 where limit.take(now: start) {
      taken += 1
      limit.settle()
    }
    #expect((200...201).contains(taken))
    #expect(!limit.take(now: start) && limit.take(now: start + .milliseconds(100)))
    limit.settle()
    var open = 0
    for _ in 0..<1000 where limit.take(now: start + .seconds(60)) { open += 1 }
    #expect(open == 64, "at once")
  }
}
