import Foundation
import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite("What the commands print and do", .timeLimit(.minutes(10)))
struct CommandTests {
  @Test("env prints the variables for a shell, for --env-file and as JSON")
  func env() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      try runner.startDaemon(options: ["--runner-name", "left"])
      try runner.deploy("shop", "app", "my-db:5432")
      let shell = try runner.istbpf("env", "shop/my-db")
      #expect(
        shell.output == """
          export WARP_IST_app='198.18.1.1'
          export WARP_IST_my_db='198.18.2.1'
          export WARP_DEPLOYMENT='shop'
          export WARP_SERVICE='my-db'
          export WARP_RUNNER='left'
          export WARP_PORT='5432'

          """)
      let file = try runner.istbpf("env", "shop/my-db", "--env-file")
      #expect(file.output.contains("WARP_IST_my-db=198.18.2.1\nWARP_IST_my_db=198.18.2.1\n"))
      let json = try runner.istbpf("env", "shop/my-db", "--json")
      let variables = try JSONDecoder().decode([String: String].self, from: Data(json.output.utf8))
      #expect(variables["WARP_IST_my-db"] == "198.18.2.1" && variables.count == 7)
      #expect([shell, file, json].allSatisfy { $0.status == 0 })
    }
  }

  @Test("ps lists instances with addresses and processes, of one deployment if asked")
  func ps() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      try runner.deploy("other", "app")
      let (app, other) = (try runner.instance(of: "shop/app"), try runner.instance(of: "other/app"))
      let lines = try runner.istbpf("ps").output.split(separator: "\n").map {
        $0.split(separator: " ").map(String.init)
      }
      #expect(lines.map(\.first) == ["INSTANCE", "other/app.2", "shop/app.2"])
      #expect(lines.dropFirst().map(\.last) == ["\(other.processID)", "\(app.processID)"])
      #expect(lines.dropFirst().map { $0[1] } == ["198.18.1.2", "198.18.1.2"])
      #expect(
        try runner.istbpf("ps", "--deployment", "shop").output.split(separator: "\n").count == 2)
    }
  }

  @Test("status names what the kernel does not run, and fails")
  func statusOfDetached() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      #expect(try runner.istbpf("status").status == 0)
      let cgroup = try #require(try runner.listedInstances().first?.cgroup)
      let programs = try run("bpftool", "cgroup", "show", cgroup).output.split(separator: "\n")
      let connect = try #require(
        programs.map { $0.split(separator: " ").map(String.init) }
          .first { $0.last == "ist_connect4" })
      let detached = try run(
        "bpftool", "cgroup", "detach", cgroup, connect[1], "id", connect[0], "multi")
      #expect(detached.status == 0, "\(detached.errors)")

      let status = try runner.istbpf("status")
      #expect(status.status == 1)
      #expect(status.output.contains("MISSING connect4"))
      #expect(status.errors.contains("shop/app.2 is not guarded: MISSING connect4"))
      #expect(try runner.listedInstances().first?.missingHooks == ["connect4"])

      let fabric = "\(runner.installation.fabricPrefix)shop"
      let link = try #require(
        try run("ip", "-br", "-n", fabric, "link").output.split(separator: "\n")
          .first { $0.hasPrefix("app-") }?.prefix { $0 != "@" && $0 != " " })
      try run("tc", "-n", fabric, "filter", "delete", "dev", String(link), "ingress")
      #expect(try runner.istbpf("status").output.contains("MISSING connect4 switch"))
      app.program.stop()
    }
  }

  @Test("A restart of the daemon puts back what was detached")
  func repair() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      let fabric = "\(runner.installation.fabricPrefix)shop"
      let links = try run("ip", "-br", "-n", fabric, "link").output.split(separator: "\n")
      let link = try #require(
        links.first { $0.hasPrefix("app-") }?.prefix { $0 != "@" && $0 != " " })
      try run("tc", "-n", fabric, "qdisc", "delete", "dev", String(link), "clsact")
      #expect(try runner.istbpf("status").status == 1)
      runner.killDaemon()
      try runner.startDaemon()
      #expect(try runner.istbpf("status").status == 0)
      app.program.stop()
    }
  }

  @Test("inspect decodes every map while the daemon is down")
  func inspect() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let db = try runner.instance(of: "shop/db")
      try db.listen(3211)
      runner.killDaemon()
      let all = try runner.istbpf("inspect")
      #expect(all.status == 0)
      for map in ["layout", "services", "cgroup_identity", "fabric_links", "listening", "denials"] {
        #expect(all.output.contains("# \(map)\n"), "\(map)")
      }
      #expect(try runner.inspect("services").map { $0["service"] } == ["app", "db"])
      #expect(try runner.inspect("services").map { $0["local"] } == ["-", "198.18.2.2"])
      #expect(
        try runner.inspect("listening") == [
          ["deployment": "shop", "service": "db", "port": "3211", "instances": "198.18.2.2"]
        ])
      let unknown = try runner.istbpf("inspect", "nonsense")
      #expect(unknown.status == 1 && unknown.errors.contains("there is no map 'nonsense'"))
    }
  }

  @Test("uninstall refuses while the daemon or an instance runs, and then leaves nothing")
  func uninstall() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      let daemonRuns = try runner.istbpf("uninstall", "--force")
      #expect(daemonRuns.status == 1)
      #expect(
        daemonRuns.errors.contains("istbpfd is running (pid \(runner.daemon?.processID ?? 0))"))
      runner.killDaemon()
      let instanceRuns = try runner.istbpf("uninstall")
      #expect(instanceRuns.status == 1)
      #expect(
        instanceRuns.errors.contains(
          "app.2: end them, or kill them with istbpf uninstall --force"))
      #expect(app.program.isRunning)
      #expect(try app.connect("192.0.2.1", 80) == "EPERM", "the walls stand still")

      #expect(try runner.istbpf("uninstall", "--force").status == 0)
      #expect(app.program.awaitEnd() == 128 + SIGKILL)
      #expect(runner.traces().isEmpty)
      #expect(try runner.istbpf("uninstall").status == 0, "where nothing is there is nothing to do")
    }
  }

  @Test(
    "uninstall waits for a relay that is just starting, which has its lock and is found by nobody yet"
  )
  func uninstallAtStart() async throws {
    try await RunnerLaboratory.with { runner in
      runner.killDaemon()
      let installation = runner.installation
      try FileManager.default.createDirectory(
        atPath: installation.relayDirectory, withIntermediateDirectories: true)
      let starting = try Conversation(["flock", installation.relayLockPath, "sleep", "2"])
      defer { starting.stop() }
      #expect(runner.eventually { (try? LockFile.isHeld(installation.relayLockPath)) == true })
      let removed = try runner.istbpf("uninstall", "--force")
      #expect(removed.status == 0, "\(removed.errors)")
      #expect(!starting.isRunning)
      #expect(runner.traces().isEmpty, "\(runner.traces())")
    }
  }
}
