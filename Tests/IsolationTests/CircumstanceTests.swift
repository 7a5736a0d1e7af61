import Foundation
import TestSupport
import Testing

@Suite("The walls stand whatever else happens", .serialized, .timeLimit(.minutes(60)))
struct CircumstanceTests {
  private static let rows = Row.all.filter(\.shouldArrive)

  @Test("While there is no daemon every row holds")
  func dead() async throws {
    try await RunnerLaboratory.with { runner in
      let stage = try Stage(runner, modes: [.all, .none])
      runner.killDaemon()
      for (index, row) in Row.all.enumerated() where row.since == nil {
        let result = try stage.attempt(row, port: Stage.rowPorts.lowerBound + index)
        let outcome = try #require(result.outcomes[.all])
        #expect(
          outcome.isStopped, "\(row.attempt): \(outcome.answer), \(outcome.arrived.prefix(3))")
      }
      try expectControl(stage)
    }
  }

  @Test("While the daemon is killed, stopped and started again and again nothing gets out")
  func restarting() async throws {
    try await RunnerLaboratory.with { runner in
      let stage = try Stage(runner, modes: [.all])
      let actor = try #require(stage.containers.first).actor
      let seconds = 6 * slowness
      let programs = Self.rows.filter { $0.side == .container && $0.group != .network }
        .enumerated().filter { $0.offset % 4 == 0 }.map(\.element.program)
      try actor.begin("storm", programs, Stage.rowPorts.lowerBound, seconds)
      let end = Date() + Double(seconds)
      var restarts = 0
      while Date() < end {
        if restarts.isMultiple(of: 2) {
          runner.killDaemon()
        } else {
          #expect(runner.daemon?.terminate() == 0)
        }
        try runner.startDaemon()
        restarts += 1
      }
      let told = try actor.answer()
      #expect(!told.contains("done") && !told.contains("breach"), "\(told)")
      #expect(restarts >= 2)
      try expectNothing(stage)
      try expectControl(stage)
    }
  }

  @Test("From the first moment of an instance to its last nothing gets out")
  func instanceLife() async throws {
    try await RunnerLaboratory.with { runner in
      let stage = try Stage(runner, modes: [.all])
      // Sends from its first instruction until it is killed, and so does a child that outlives it.
      let script = """
        import os, socket
        print("started", flush=True)
        os.fork()
        one = socket.socket(type=socket.SOCK_DGRAM)
        while True:
            for address in ("198.18.2.2", "198.18.0.1"):
                try:
                    one.sendto(b"let me out", (address, 15001))
                except OSError:
                    pass
        """
      for _ in 0..<5 {
        let instance = try runner.start("shop/app", "/usr/bin/python3", "-c", script)
        #expect(instance.awaitLine() == "started")
        let cgroup = try #require(
          try runner.listedInstances().first { $0.pids.contains(instance.processID) }
        ).cgroup
        instance.stop()
        usleep(50_000)
        try Data("1".utf8).write(to: URL(fileURLWithPath: cgroup + "/cgroup.kill"))
      }
      try expectNothing(stage)
      #expect(
        try runner.eventually { try runner.listedInstances().count == 4 }, "the five have ended")
    }
  }

  @Test(
    "A socket that another deployment hands over stays that one's, and one outlives its instance in vain"
  )
  func passed() async throws {
    try await RunnerLaboratory.with { runner in
      let stage = try Stage(runner, modes: [.all])
      let actor = try #require(stage.containers.first).actor
      let path = "/tmp/\(runner.installation.name).gift"
      defer { unlink(path) }
      try actor.tell("await_gift", path)
      try stage.stranger.tell("give", path)
      #expect(try actor.tell("take") == "taken")
      #expect(try actor.tell("use", "tcp", Stage.victimAddress, 3211) == "done")
      #expect(try stage.victim.tell("got") == "[]", "it reached the other deployment's instance")
      #expect(try stage.strangersVictim.tell("got").contains("tcp"))
      #expect(try actor.tell("use", "udp", Stage.victimAddress, 3211) == "EPERM")

      // Now one of an instance that ends, in the hands of a program that nothing confines.
      unlink(path)
      try stage.world.gateway.tell("await_gift", path)
      try actor.tell("give", path)
      #expect(try stage.world.gateway.tell("take") == "taken")
      actor.program.stop()
      #expect(try runner.eventually { try runner.listedInstances().count == 3 })
      for kind in ["tcp", "udp"] {
        #expect(
          try stage.world.gateway.tell("use", kind, World.address, 20_000) == "EPERM", "\(kind)")
      }
      try expectNothing(stage)
    }
  }

  private func expectControl(_ stage: Stage) throws {
    let actor = try #require(stage.containers.first { $0.mode == .all }).actor
    #expect(try actor.tell("attempt", "tcp.service", 0) == "done")
    #expect(try stage.victim.tell("got").contains("198.18.1."))
  }

  private func expectNothing(_ stage: Stage) throws {
    usleep(50_000)
    let arrived = try stage.everythingSeen()
    #expect(arrived == [], "\(arrived.prefix(5))")
  }
}
