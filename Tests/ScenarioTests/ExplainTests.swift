import Foundation
import TestSupport
import Testing

@Suite("explain says what a real connect comes to", .timeLimit(.minutes(10)))
struct ExplainTests {
  private struct Answer: Decodable {
    struct Instance: Decodable {
      let instance: String
      let listens: String
      let runner: String
    }
    let target, address, outcome, decidedBy, reason, why: String
    let port: Int
    let entries: [String]
    let instances: [Instance]
  }

  private func explain(
    _ runner: RunnerLaboratory, _ service: String, _ target: String
  ) throws -> Answer {
    let result = try runner.istbpf("explain", service, target, "--json")
    try #require(result.status == 0, "\(target): \(result.errors)")
    return try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
  }

  @Test("Over a table of targets it agrees with what the program sees, and counts nothing")
  func agreement() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211", "cache")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      try db.listen(3212, on: "127.0.0.1")
      try db.listen(3214, on: "198.18.2.2")
      try app.listen(8080, on: "127.0.0.1")
      try app.listen(8082, on: "::", isIPv6Only: true)
      for (host, port, reason, decidedBy) in [
        ("198.18.2.1", 3211, "", "cgroup/connect4"), ("198.18.2.2", 3211, "", "cgroup/connect4"),
        ("::ffff:198.18.2.1", 3211, "", "cgroup/connect6"),
        ("198.18.2.1", 3214, "", "cgroup/connect4"),
        ("198.18.2.1", 3212, "", "listen"), ("198.18.2.2", 3213, "", "listen"),
        ("198.18.3.1", 80, "no-instance", "cgroup/connect4"),
        ("198.18.2.77", 80, "no-instance", "cgroup/connect4"),
        ("198.18.9.1", 80, "no-service", "cgroup/connect4"),
        ("198.18.0.1", 80, "no-service", "cgroup/connect4"),
        ("198.18.2.255", 80, "no-service", "cgroup/connect4"),
        ("192.0.2.1", 80, "foreign-address", "cgroup/connect4"),
        ("::ffff:192.0.2.1", 80, "foreign-address", "cgroup/connect6"),
        ("2001:db8::1", 80, "ipv6", "cgroup/connect6"), ("fe80::1", 80, "ipv6", "cgroup/connect6"),
        ("127.0.0.1", 8080, "", "listen"), ("127.0.0.1", 8081, "", "listen"),
        ("::1", 8081, "", "listen"), ("::1", 8080, "", "listen"), ("::1", 8082, "", "listen"),
        ("127.0.0.1", 8082, "", "listen"), ("198.18.1.1", 8082, "", "listen"),
      ] {
        let denials = try runner.inspect("denials")
        let host6 = host.contains(":") ? "[\(host)]" : host
        let answer = try explain(runner, "shop/app", "\(host6):\(port)")
        #expect(try runner.inspect("denials") == denials, "it counts nothing")
        let seen = try app.connect(host, port)
        #expect(answer.outcome == (seen.contains(" at ") ? "connected" : seen), "\(host):\(port)")
        #expect(answer.reason == reason && answer.decidedBy == decidedBy, "\(host):\(port)")
        #expect(answer.port == port && !answer.why.isEmpty)
      }
    }
  }

  @Test("Names, the port that is left out, the instances and who listens where")
  func names() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211", "my_db")
      try runner.deploy("other", "app", "db")
      let db = try runner.instance(of: "shop/db")
      try db.listen(3211)
      try db.listen(3212, on: "127.0.0.1")
      for target in ["db", "db.warp", "shop/db", "198.18.2.1"] {
        let answer = try explain(runner, "shop/app", target)
        #expect(answer.outcome == "connected" && answer.port == 3211, "\(target)")
        #expect(answer.target == "shop/db" && answer.address == "198.18.2.1", "\(target)")
        #expect(answer.instances.map(\.instance) == ["shop/db.2"])
        #expect(answer.instances.map(\.listens) == ["yes"])
        #expect(
          answer.entries == [
            "services shop/db local 198.18.2.2, remote none", "listening shop/db:3211 198.18.2.2",
          ])
      }
      #expect(try explain(runner, "shop/app", "my-db.warp").target == "shop/my_db")
      let other = try explain(runner, "shop/app", "other/db")
      #expect(other.outcome == "unreachable" && other.decidedBy == "fabric")
      #expect(other.why.contains("in shop, 198.18.2.1 is shop/db"))

      let text = try runner.istbpf("explain", "shop/app", "db:3212")
      #expect(text.status == 0)
      #expect(text.output.contains("outcome     ECONNREFUSED\n"))
      #expect(text.output.contains("listens on 127.0.0.1:3212 only"))
      #expect(text.output.contains("shop/db.2 198.18.2.2"))
    }
  }

  @Test("Of an address outside it says whose it is, and what to write so that it is allowed")
  func outside() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      _ = try runner.addInterface(to: app)
      for (target, words) in [
        ("10.9.9.1:80", ["a neighbour's on eth0", "it has none", "add \"10.9.9.1:80\""]),
        ("10.9.9.2:80", ["the instance's own on eth0", "198.18.1.2 is its own address"]),
        ("192.0.2.1:443", ["outside the deployment, and no", "add \"192.0.2.1:443\""]),
      ] {
        let answer = try explain(runner, "shop/app", target)
        #expect(answer.outcome == "EPERM" && answer.reason == "foreign-address", "\(target)")
        #expect(words.allSatisfy { answer.why.contains($0) }, "\(target): \(answer.why)")
      }
      // An address of this machine, wherever it is run.
      let own = try run("ip", "-4", "-o", "addr", "show", "scope", "global").output
        .split(separator: " ").first { $0.contains("/") }.map { String($0.prefix { $0 != "/" }) }
      if let own {
        #expect(try explain(runner, "shop/app", "\(own):22").why.contains("this machine's own on"))
      }
      #expect(
        try explain(runner, "shop/app", "198.18.9.1:80").why.contains("`istbpf status` lists"))
    }
  }

  @Test("A socket that a program outside has in an instance's namespace is named as a stranger's")
  func stranger() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      let outside = try TestInstance.outsider(
        by: PacketPrograms.enter(app.processID), of: runner.laboratory)
      try outside.listen(5300, on: "127.0.0.11")
      try outside.listen(5301)
      for (caller, target, host, port) in [
        (app, "127.0.0.11:5300", "127.0.0.11", 5300), (app, "127.0.0.1:5301", "127.0.0.1", 5301),
        (app, "app:5301", "198.18.1.1", 5301), (db, "app:5301", "198.18.1.1", 5301),
      ] {
        let isOwn = caller === app
        let answer = try explain(runner, isOwn ? "shop/app" : "shop/db", target)
        #expect(answer.reason == "strangers-socket", "\(target): \(answer.why)")
        #expect(answer.decidedBy == (isOwn ? "cgroup/connect4" : "fabric"), "\(target)")
        #expect(answer.outcome == (isOwn ? "ECONNREFUSED" : "ETIMEDOUT"), "\(target)")
        #expect(answer.instances.map(\.listens) == ["stranger"], "\(target)")
        #expect(try caller.connect(host, port) == (isOwn ? "ECONNREFUSED" : "timeout"))
      }
      #expect(try explain(runner, "shop/app", "127.0.0.1:5300").why.contains("nobody listens"))
      // The instance's own, at an address of its own beside it.
      try app.listen(5300, on: "127.0.0.1")
      #expect(try explain(runner, "shop/app", "127.0.0.1:5300").outcome == "connected")
      #expect(try explain(runner, "shop/app", "127.0.0.11:5300").outcome == "ECONNREFUSED")
      #expect(try app.connect("127.0.0.1", 5300) == "shop/app at 127.0.0.1")
    }
  }

  @Test("A name outside is resolved here, and each of its addresses is explained")
  func outsideName() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let hosts = "/tmp/\(runner.installation.name)-hosts"
      runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: hosts) }
      try "192.0.2.1 www.example.org\n192.0.2.2 www.example.org\n".write(
        toFile: hosts, atomically: true, encoding: .utf8)
      // The command's own /etc/hosts, and nobody else's.
      let wrapper = [
        "unshare", "--mount", "--propagation", "private", "sh", "-c",
        "mount --bind \(hosts) /etc/hosts && exec \"$@\"", "sh",
      ]
      let result = try runner.istbpf(
        ["explain", "shop/app", "www.example.org:443"], wrapper: wrapper)
      #expect(result.status == 0, "\(result.errors)")
      for words in [
        "www.example.org is 192.0.2.1, 192.0.2.2",
        "add \"www.example.org:443\" to its deployment.egress", "192.0.2.1:443",
        "add \"192.0.2.2:443\"",
      ] { #expect(result.output.contains(words), "\(words): \(result.output)") }
      let json = try runner.istbpf(
        ["explain", "shop/app", "www.example.org:443", "--json"], wrapper: wrapper)
      let answer = try JSONDecoder().decode(Answer.self, from: Data(json.output.utf8))
      #expect(answer.address == "192.0.2.1" && answer.reason == "foreign-address")
    }
  }

  @Test("What is no target, or is not declared, is refused by name")
  func badInput() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      for (service, target, message) in [
        ("shop/app", "dbb", "service \"dbb\" is not declared in deployment shop"),
        ("shop/app", "nosuch.warp", "service \"nosuch\" is not declared"),
        ("shop/app", "other/db", "deployment \"other\" is not declared"),
        ("shop/ap", "db", "service \"ap\" is not declared"),
        ("shp/app", "db", "deployment \"shp\" is not declared"),
        ("shop/app", "db:0", "\"0\" is no port"), ("shop/app", "db:http", "\"http\" is no port"),
        ("shop/app", "", "it names no host"), ("shop/app", ":80", "it names no host"),
        ("shop/app", "192.0.2.1", "name a port"), ("shop/app", "[2001:db8::1", "not closed"),
        ("shop/app", "[zz::1]:80", "no IPv6 address"),
        ("shop/app", "www.example.com:443", "service \"www.example.com\" is not declared"),
      ] {
        let refused = try runner.istbpf("explain", service, target)
        #expect(refused.status == 1, "\(target): \(refused.output)")
        #expect(refused.errors.contains(message), "\(target): \(refused.errors)")
      }
      #expect(try runner.istbpf("explain", "shop", "db").status == 64)
    }
  }

  @Test("Of another runner's instance it names the runner, and claims nothing more")
  func remote() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      _ = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      let answer = try explain(cluster[1], "shop/app", "db:3211")
      #expect(answer.outcome == "unknown" && answer.reason.isEmpty)
      #expect(answer.instances.map(\.runner) == ["runner2"])
      #expect(answer.instances.map(\.listens) == ["unknown"])
      #expect(try explain(cluster[2], "shop/app", "db:3211").outcome == "connected")
    }
  }

  @Test(
    "Where nothing here listens it names the instances of other runners, as connect() asks them")
  func elsewhere() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let near = try cluster.instance(of: "shop/db", on: 1)
      let far = try cluster.instance(of: "shop/db", on: 2)
      try far.listen(3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.3")
      let answer = try explain(cluster[1], "shop/app", "db:3211")
      #expect(answer.instances.map(\.instance) == ["shop/db.3"] && answer.outcome == "unknown")
      try near.listen(3211)
      let local = try explain(cluster[1], "shop/app", "db:3211")
      #expect(local.instances.map(\.instance) == ["shop/db.2"] && local.outcome == "connected")
    }
  }

  @Test("With spread it names those of all runners")
  func spread() async throws {
    try await ClusterLaboratory.with(selection: .spread) { cluster in
      try cluster.deploy("shop", "app", "db")
      _ = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 1).listen(3211)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      let answer = try explain(cluster[1], "shop/app", "db:3211")
      #expect(answer.instances.map(\.instance) == ["shop/db.2", "shop/db.3"])
      #expect(answer.instances.map(\.listens) == ["yes", "unknown"])
    }
  }

  @Test("It says which socket no connection to the instance address reaches, and what to change")
  func inTheWay() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      _ = try runner.addInterface(to: db)
      for (host, isIPv6Only, listens, words) in [
        ("::", true, "ipv6", ["[::]:3211 for IPv6 alone (IPV6_V6ONLY)", "before it binds"]),
        ("::1", false, "loopback", ["[::1]:3211 only", "listen on 0.0.0.0"]),
        ("127.0.0.1", false, "loopback", ["127.0.0.1:3211 only", "listen on 0.0.0.0"]),
        ("10.9.9.2", false, "elsewhere", ["10.9.9.2:3211 only", "0.0.0.0 or 198.18.2.2"]),
        ("::ffff:10.9.9.2", false, "elsewhere", ["10.9.9.2:3211 only", "0.0.0.0 or 198.18.2.2"]),
      ] {
        try db.listen(3211, on: host, isIPv6Only: isIPv6Only)
        let answer = try explain(runner, "shop/app", "db:3211")
        #expect(answer.outcome == "ECONNREFUSED" && answer.decidedBy == "listen", "\(host)")
        #expect(answer.instances.map(\.listens) == [listens], "\(host)")
        #expect(words.allSatisfy { answer.why.contains($0) }, "\(host): \(answer.why)")
        #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED", "\(host)")
        _ = try db.tell("unlisten", 3211)
      }
      for host in ["::", "0.0.0.0", "198.18.2.2", "::ffff:198.18.2.2"] {
        try db.listen(3211, on: host)
        #expect(try explain(runner, "shop/app", "db:3211").outcome == "connected", "\(host)")
        #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2", "\(host)")
        _ = try db.tell("unlisten", 3211)
      }
    }
  }
}
