import Foundation
import TestSupport
import Testing

@Suite("Loopback is the instance's own", .timeLimit(.minutes(10)))
struct LoopbackTests {
  /// An instance of shop/app, one of shop/db that listens on 3211, and a program of the host's in the network
  /// namespace of the first.
  private static func with(
    _ body: (RunnerLaboratory, _ app: TestInstance, _ db: TestInstance, _ stranger: TestInstance)
      throws -> Void
  ) async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let stranger = try TestInstance.outsider(
        by: PacketPrograms.enter(app.processID), of: runner.laboratory)
      try body(runner, app, db, stranger)
    }
  }

  @Test(
    "What a program outside listens on in an instance's namespace is not there for the instance")
  func outward() async throws {
    try await Self.with { runner, app, _, stranger in
      try stranger.listen(5300, on: "127.0.0.11")
      try stranger.listen(5301)
      try stranger.listen(5302, on: "::")
      #expect(try stranger.connect("127.0.0.11", 5300).hasSuffix("at 127.0.0.11"))
      for (address, port) in [
        ("127.0.0.11", 5300), ("::ffff:127.0.0.11", 5300), ("127.0.0.1", 5301), ("0.0.0.0", 5301),
        ("198.18.1.2", 5301), ("$WARP_IST_app", 5301), ("::1", 5302), ("::", 5302),
        ("127.0.0.1", 5302),
      ] {
        #expect(try app.connect(address, port) == "ECONNREFUSED", "\(address) \(port)")
      }
      #expect(try runner.denials("shop/app", "strangers-socket") >= 7)

      // Not by the hook of connect alone.
      let cgroup = try #require(
        try runner.listedInstances().first { $0.pids.contains(app.processID) }
      ).cgroup
      for hook in ["connect4", "connect6"] {
        let detached = try run("bash", "-ec", Self.detach(hook, from: cgroup))
        #expect(detached.status == 0, "\(detached.errors)")
      }
      for (address, port) in [("127.0.0.11", 5300), ("127.0.0.1", 5301), ("::1", 5302)] {
        #expect(try app.connect(address, port) == "timeout", "\(address) \(port)")
      }
    }
  }

  private static func detach(_ hook: String, from cgroup: String) -> String {
    """
    id=$(bpftool cgroup show \(cgroup) | awk 'index($0, "ist_\(hook)") { print $1 }')
    bpftool cgroup detach \(cgroup) \(hook) id $id
    """
  }

  @Test("A program outside in an instance's namespace does not reach what the instance listens on")
  func inward() async throws {
    try await Self.with { runner, app, _, stranger in
      try app.listen(6000, on: "127.0.0.1")
      try app.listen(6001)
      try app.listen(6002, on: "::1")
      for (address, port) in [
        ("127.0.0.1", 6000), ("127.0.0.1", 6001), ("198.18.1.2", 6001), ("::1", 6002),
      ] {
        #expect(try stranger.connect(address, port) == "timeout", "\(address) \(port)")
        #expect(try app.connect(address, port).hasPrefix("shop/app at "), "\(address) \(port)")
      }
      #expect(try runner.denials("shop/app", "strangers-socket") >= 4)
    }
  }

  @Test(
    "A program outside in an instance's namespace is not the instance to the fabric, either way")
  func fabric() async throws {
    try await Self.with { runner, app, db, stranger in
      try stranger.listen(5301)
      try app.listen(6001)
      #expect(try app.connect("198.18.2.2", 3211) == "shop/db at 198.18.2.2")
      #expect(try stranger.connect("198.18.2.2", 3211) == "timeout")
      #expect(try db.connect("198.18.1.2", 6001) == "shop/app at 198.18.1.2")
      #expect(try db.connect("198.18.1.2", 5301) == "timeout")
      #expect(try runner.denials("shop/app", "strangers-socket") >= 2)
    }
  }

  /// SYN cookies for every connection: what is answered then has no socket that could be judged.
  private static func alwaysUseSYNCookies(inNamespaceOf instance: TestInstance) throws {
    let result = try run(
      PacketPrograms.enter(instance.processID) + [
        "sh", "-c", "echo 2 >/proc/sys/net/ipv4/tcp_syncookies",
      ])
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test(
    "A program outside that shares an instance's port by SO_REUSEPORT gets none of its connections")
  func sharedPort() async throws {
    try await Self.with { _, app, db, stranger in
      try app.listen(6001, times: 2)
      try Self.alwaysUseSYNCookies(inNamespaceOf: app)
      #expect(try db.tally("198.18.1.2", 6001, times: 20) == ["shop/app at 198.18.1.2": 20])
      try stranger.listen(6001, times: 2)
      var answers: Set<String> = []
      for _ in 0..<24 { answers.insert(try db.connect("198.18.1.2", 6001)) }
      #expect(answers == ["shop/app at 198.18.1.2", "timeout"], "\(answers)")
    }
  }

  @Test("The instance's own loopback works as anywhere, in cgroups that it makes as well")
  func own() async throws {
    try await Self.with { runner, app, _, _ in
      try app.listen(6000, on: "127.0.0.1")
      try app.listen(6001, on: "::")
      try app.listen(6002, times: 4)
      for address in ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"] {
        #expect(try app.connect(address, 6000) == "shop/app at 127.0.0.1", "\(address)")
      }
      for address in ["::1", "::", "127.0.0.1", "127.9.9.9", "198.18.1.2", "$WARP_IST_app"] {
        #expect(try app.connect(address, 6001).hasPrefix("shop/app at "), "\(address)")
      }
      for _ in 0..<20 { #expect(try app.connect("127.0.0.1", 6002) == "shop/app at 127.0.0.1") }
      #expect(try app.connect("127.0.0.1", 1) == "ECONNREFUSED")
      #expect(try app.connect("::1", 1) == "ECONNREFUSED")
      #expect(try runner.denials("shop/app", "strangers-socket") == 0)

      // What is executed in a container may be in a cgroup inside the container's.
      let cgroup = try #require(
        try runner.listedInstances().first { $0.pids.contains(app.processID) }
      ).cgroup
      try FileManager.default.createDirectory(
        atPath: cgroup + "/inner", withIntermediateDirectories: false)
      let executed = try TestInstance.outsider(
        by: PacketPrograms.enter(app.processID, cgroup: cgroup + "/inner"), of: runner.laboratory)
      #expect(try executed.connect("127.0.0.1", 6000) == "shop/app at 127.0.0.1")
      #expect(try executed.connect("198.18.2.2", 3211) == "shop/db at 198.18.2.2")
      try executed.listen(6003)
      #expect(try app.connect("127.0.0.1", 6003).hasSuffix("at 127.0.0.1"))
    }
  }

  @Test("An instance whose service was removed keeps its own loopback, and nothing more")
  func removed() async throws {
    try await Self.with { runner, app, _, stranger in
      try stranger.listen(5300, on: "127.0.0.11")
      try app.listen(6000, on: "127.0.0.1")
      let result = try runner.istbpf(
        "deploy", "--deployment", "shop", "--replace", "--service", "db")
      #expect(result.status == 0, "\(result.errors)")
      #expect(try app.connect("127.0.0.1", 6000) == "shop/app at 127.0.0.1")
      #expect(try app.connect("127.0.0.11", 5300) == "ECONNREFUSED")
      #expect(try stranger.connect("127.0.0.1", 6000) == "timeout")
      // And with a daemon that finds it so.
      runner.killDaemon()
      try runner.startDaemon()
      #expect(try app.connect("127.0.0.1", 6000) == "shop/app at 127.0.0.1")
      #expect(try app.connect("127.0.0.11", 5300) == "ECONNREFUSED")
    }
  }
}
