import Foundation
import Glibc
import TestSupport
import Testing

@Suite("Who a runner is", .timeLimit(.minutes(10)))
struct RunnerIdentityTests {
  @Test("A new certificate disturbs no live connection; a revoked one ends those that it made")
  func certificates() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      let first = try #require(try cluster.serials(2).first)

      try cluster.issue(2)
      #expect(cluster[2].logs("took over the identity"))
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")

      try cluster.revoke(first)
      #expect(
        try cluster[1].eventually { try app.tell("echo", "$WARP_IST_db", 3211) != "ping" })
      #expect(
        try cluster[1].eventually {
          try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
        }, "the new certificate is good")

      try cluster.revoke("runner2")
      #expect(
        try cluster[1].eventually {
          try app.tell("wait", "$WARP_IST_db", 3211) == "EHOSTUNREACH"
        })

      // A deny list that is replaced in two steps, or lost, opens nothing.
      try FileManager.default.removeItem(atPath: "\(cluster.directory)/ca/denied")
      for number in 1...2 {
        #expect(cluster[number].logs("what it denied stays denied"))
      }
      #expect(try app.tell("wait", "$WARP_IST_db", 3211) == "EHOSTUNREACH")
    }
  }

  @Test("A right certificate is not enough: the instances must be where the stream says")
  func misplaced() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      try cluster.deploy("other", "x", "y", "z")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try app.listen(80)
      _ = try cluster.instance(of: "shop/db", on: 2)
      _ = try cluster.instance(of: "other/z", on: 2)
      let rogue = try RogueRunner(cluster, as: 2)
      #expect(try rogue.ask(1, "shop", from: "198.18.2.2", to: "198.18.1.2", 80) == 0)
      for (deployment, source, destination, claim) in [
        ("shop", "198.18.1.2", "198.18.1.2", "an instance of the runner that is asked"),
        ("shop", "198.18.2.9", "198.18.1.2", "an instance that nobody has"),
        ("shop", "198.18.3.2", "198.18.1.2", "an instance of another deployment"),
        ("shop", "198.18.2.2", "198.18.2.2", "a destination that is elsewhere"),
        ("other", "198.18.3.2", "198.18.1.2", "a destination of another deployment"),
        ("nothing", "198.18.2.2", "198.18.1.2", "a deployment that is not declared"),
      ] {
        let answer = try rogue.ask(1, deployment, from: source, to: destination, 80)
        #expect(answer == EHOSTUNREACH, "\(claim)")
      }
      #expect(try app.tell("callers") == "198.18.2.2", "nobody else got through")
    }
  }

  @Test("A second runner of one name is refused, and the first one goes on")
  func sameName() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app")
      let second = try cluster.addRunner()
      let files = "\(cluster.directory)/runner1"
      let result = try second.refusedDaemon(
        wrapper: [
          "env", "ISTBPF_TUNNEL_CERTIFICATE=\(files).crt", "ISTBPF_TUNNEL_KEY=\(files).key",
        ], options: ["--runner-name", "runner1"])
      #expect(result.status == 1)
      #expect(
        result.errors.contains(#"another runner is named "runner1", at 10.77.0.1:7443"#),
        "\(result.errors)")
      let app = try cluster[1].instance(of: "shop/app")
      try app.listen(80)
      #expect(try app.connect("198.18.1.2", 80) == "shop/app at 198.18.1.2")
    }
  }

  @Test("A runner that comes back at another address is found there")
  func moved() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      cluster[2].killDaemon()
      try cluster.move(2, to: "10.77.0.22")
      try cluster[2].startDaemon()
      #expect(
        try cluster[1].eventually {
          try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
        })
      #expect(try cluster[1].istbpf("runner", "list").output.contains(" 10.77.0.22:7443 "))
    }
  }

  @Test("A tunnel address that another program has is named, and nothing of the runner is lost")
  func taken() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      cluster[2].killAll()
      let other = try Conversation(
        cluster.enter(2) + ["/usr/bin/python3", "-u", "-c", Self.listener])
      #expect(other.awaitLine() == "listening")
      let result = try cluster[2].refusedDaemon()
      #expect(result.status == 1)
      #expect(
        result.errors.contains("10.77.0.2:7443") && result.errors.contains("tunnel.address"),
        "\(result.errors)")
      other.stop()
      try cluster[2].startDaemon()
      #expect(
        try cluster[1].eventually {
          try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
        })
    }
  }

  private static let listener = """
    import socket, time
    server = socket.create_server(("10.77.0.2", 7443))
    print("listening")
    time.sleep(600)
    """
}
