import EngineTestSupport
import LinuxSystem
import TestSupport
import Testing

@Suite("The bypass table inside containers of engines", .serialized, .timeLimit(.minutes(30)))
struct EngineContainerTests {
  @Test("No row gets out of a container of podman, Docker or containerd, nor into one")
  func table() async throws {
    let release = try KernelRelease.running()
    try await Stage.withRunner { runner in
      let stage = try Stage(runner, modes: [.all])
      try PodmanLaboratory.with(runner) { podman in
        try DockerLaboratory.with(runner) { docker in
          let command = Actor.command
          let programs = Actor.programs
          try stage.add(
            "podman",
            podman.commandLine(
              ["run", "--rm", "--interactive"] + PodmanLaboratory.hostPrograms
                + ["--volume", "\(programs):\(programs):ro"]
                + podman.options("shop/app", network: "none") + ["tools"] + command))
          try stage.add(
            "docker",
            docker.commandLine(
              "shop/app",
              ["--rm", "--interactive", "--network", "none"]
                + ["--volume", "\(programs):\(programs):ro"], command))
          try stage.add(
            "containerd",
            docker.commandLineOfCTR(
              "shop/app",
              ["--mount", "type=bind,src=\(programs),dst=\(programs),options=rbind:ro"], command))
          for container in stage.containers.dropFirst() { try expectControl(stage, container) }
          for (index, row) in (Row.all + Row.withRules).enumerated()
          where row.since.map({ $0 <= release }) ?? true {
            if index >= Row.all.count { try stage.allowOutside() }
            let result = try stage.attempt(row, port: Stage.rowPorts.lowerBound + index)
            for (mode, outcome) in result.outcomes {
              let told = "\(row.attempt), \(mode.description): \(outcome.answer)"
              #expect(outcome.isStopped, "\(told), \(outcome.arrived.prefix(3))")
              #expect(!outcome.answer.hasPrefix("broken") && outcome.answer != "died", "\(told)")
            }
          }
          for container in stage.containers { try expectControl(stage, container) }
          let listed = try runner.listedInstances()
          #expect(listed.allSatisfy { $0.isGuarded } && listed.compactMap(\.engine).count == 3)
          #expect(try stage.strangersVictim.tell("got") == "[]", "nobody of shop reached other/db")
          for container in stage.containers { container.end() }
        }
      }
    }
  }

  /// What is allowed is seen.
  private func expectControl(_ stage: Stage, _ container: Container) throws {
    _ = try stage.victim.tell("got")
    let mode = container.mode.description
    #expect(try container.actor.tell("attempt", "tcp.service", 0) == "done", "\(mode)")
    #expect(try stage.victim.tell("got").contains("198.18.1."), "\(mode)")
  }
}
