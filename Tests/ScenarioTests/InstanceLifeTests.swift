import Foundation
import TestSupport
import Testing

@Suite("The life of an instance", .timeLimit(.minutes(10)))
struct InstanceLifeTests {
  @Test("The exit status of the command is that of istbpf run")
  func exitStatus() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      for status in [0, 1, 7, 255] {
        #expect(try runner.runInstance("shop/app", "sh", "-c", "exit \(status)").status == status)
      }
      #expect(try runner.runInstance("shop/app", "sh", "-c", "kill -9 $$").status == 128 + 9)
      #expect(try runner.eventually { try runner.listedInstances().isEmpty })
    }
  }

  @Test("Signals reach the command, which may answer them")
  func signals() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let command = try runner.start(
        "shop/app", "sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done")
      #expect(command.awaitLine() == "ready")
      command.signal(SIGTERM)
      #expect(command.awaitEnd() == 42)
      let other = try runner.start("shop/app", "sleep", "60")
      #expect(try runner.eventually { try runner.listedInstances().count == 1 })
      other.signal(SIGINT)
      #expect(other.awaitEnd() == 128 + SIGINT)
    }
  }

  @Test("An instance ends with kill -9 of its only process")
  func killed() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      let listed = try runner.listedInstances()
      #expect(listed.map(\.pids) == [[app.processID]], "no supervisor stands beside it")
      app.program.stop()
      #expect(try runner.eventually { try runner.listedInstances().isEmpty })
      #expect(listed.allSatisfy { !FileManager.default.fileExists(atPath: $0.cgroup) })
      #expect(try runner.inspect("fabric_links").isEmpty)
    }
  }

  @Test("A child in the background keeps the instance until it ends")
  func backgroundChild() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      #expect(
        try runner.runInstance("shop/app", "sh", "-c", "setsid sleep 600 & exit 3").status == 3)
      usleep(300_000)
      let listed = try runner.listedInstances()
      #expect(listed.map(\.instance) == ["shop/app.2"])
      let child = try #require(listed.first?.pids.first)
      kill(child, SIGKILL)
      #expect(try runner.eventually { try runner.listedInstances().isEmpty })
    }
  }

  @Test("An instance address is not given to the next instance")
  func numbers() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      var addresses: [String] = []
      for _ in 1...3 {
        let app = try runner.instance(of: "shop/app")
        addresses += try runner.listedInstances().map(\.address)
        app.program.stop()
        #expect(try runner.eventually { try runner.listedInstances().isEmpty })
      }
      #expect(addresses == ["198.18.1.2", "198.18.1.3", "198.18.1.4"])
    }
  }
}
