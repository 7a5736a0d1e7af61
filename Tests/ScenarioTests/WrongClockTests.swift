import Glibc
import Model
import TestSupport
import Testing

/// A daemon whose clock is wrong, by libfaketime; what measures time by CLOCK_MONOTONIC goes right, as on
/// a machine whose clock was set wrong.
@Suite("A runner whose clock is wrong by a day", .timeLimit(.minutes(10)))
struct WrongClockTests {
  /// Starts the daemon of a runner anew, with a clock that is wrong by so much.
  private func restart(_ runner: RunnerLaboratory, _ offset: String) throws {
    // Not by faketime(1) itself, which stays as the parent and would be killed in place of the daemon; but
    // with the memory that it shares with those it starts: where there is none, the library makes it with
    // setenv(), and Swift finds the arguments by the environment's first place.
    let clock = try Conversation([
      "faketime", "-m", "--exclude-monotonic", "-f", offset, "sh", "-c",
      "env | grep -E '^(LD_PRELOAD|FAKE|DONT_FAKE)'; echo; read word",
    ])
    runner.laboratory.atEnd {
      try? clock.say("end")
      _ = clock.awaitEnd()
    }
    var variables: [String] = []
    while case let line = try clock.nextLine(), !line.isEmpty { variables.append(line) }
    runner.killAll()
    // Were the arguments lost all the same, it would be the machine's own installation.
    variables.append("\(Installation.variable)=\(runner.installation.name)")
    let today = try #require(runner.daemon?.log.prefix(10))
    try runner.startDaemon(wrapper: ["env"] + variables)
    #expect(runner.daemon?.log.hasPrefix(today) == false, "its clock is another")
  }

  /// The last line that a runner logged of a tunnel that failed.
  private func failure(_ cluster: ClusterLaboratory, _ number: Int) -> String {
    cluster[number].daemon?.log.split(separator: "\n").last { $0.contains(" tunnel failed: ") }
      .map(String.init) ?? ""
  }

  @Test(
    "A day late it takes no tunnel and says why; what is on one runner goes on; then it recovers")
  func late() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let caller = try cluster.instance(of: "shop/app", on: 2)
      try app.listen(80)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")

      try restart(cluster[2], "-1d")
      // Its instances are still the registry's, and it answers for them on itself.
      #expect(try cluster[1].eventually { try cluster[1].reachable("shop/db") == ["198.18.2.2"] })
      #expect(try caller.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      // Towards it, and from it: it finds the other's certificate not valid yet.
      #expect(try app.tell("wait", "$WARP_IST_db", 3211) == "EHOSTUNREACH")
      #expect(try caller.tell("wait", "198.18.1.2", 80) == "EHOSTUNREACH")
      for text in ["certificate is not yet valid: it is valid from ", "this runner's clock says "] {
        #expect(failure(cluster, 2).contains(text), "\(failure(cluster, 2))")
      }
      // The other one is only told that its certificate was not taken.
      let isTold = cluster[1].eventually {
        failure(cluster, 1).contains("clock")
      }
      #expect(isTold, "\(failure(cluster, 1))")

      cluster[2].killAll()
      try cluster[2].startDaemon()
      #expect(
        try cluster[1].eventually(within: 20) {
          try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
        })
      #expect(try caller.tell("wait", "198.18.1.2", 80) == "shop/app at 198.18.1.2")
    }
  }

  @Test("A day early it takes tunnels while certificates last beyond that, and else says why not")
  func early() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      try restart(cluster[2], "+25h")
      #expect(
        try cluster[1].eventually(within: 20) {
          try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
        })

      // Without the tunnels of before, which would go on.
      try cluster.issue(1, days: 1)
      cluster[1].killAll()
      try cluster[1].startDaemon()
      // At first it may be unreachable since this runner does not know yet where the other one takes tunnels.
      var (outcome, reason) = ("", "")
      for _ in 0..<40 where !reason.contains("certificate has expired: it is valid from ") {
        usleep(500_000)
        outcome = try app.tell("wait", "$WARP_IST_db", 3211)
        reason = failure(cluster, 2)
      }
      #expect(outcome == "EHOSTUNREACH")
      #expect(reason.contains("certificate has expired: it is valid from "), "\(reason)")
    }
  }
}
