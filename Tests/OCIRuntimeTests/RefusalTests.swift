import EngineTestSupport
import Foundation
import TestSupport
import Testing

@Suite("Containers that are refused, and containers that are left alone", .timeLimit(.minutes(10)))
struct RefusalTests {
  @Test("Each refusal is one clear line of the engine's, and nothing is left behind")
  func refusals() async throws {
    try await PodmanLaboratory.with { podman in
      func refused(
        _ service: String?, network: String? = nil, _ more: String..., because reason: String
      ) throws {
        let result = try podman.run(service, network: network, more, "env")
        #expect(result.status != 0, "\(reason)")
        // podman may have more to say, of its networks.
        let lines = result.errors.split(separator: "\n").filter { $0.contains("istbpf: ") }
        #expect(lines.count == 1 && lines[0].contains(reason), "\(reason): \(result.errors)")
      }
      try refused("nowhere/app", because: "deployment \"nowhere\" is not declared")
      try refused("shop/ap", because: "did you mean \"app\"?")
      try refused("shop/app", network: "host", because: "without --network host")
      try refused("shop/app", "--privileged", because: "without --privileged")
      try refused("shop/app", "--pid", "host", because: "without --pid host")
      try refused("shop/app", "--pid", "ns:/proc/\(getpid())/ns/pid", because: "host's processes")
      try refused("shop/app", "--ipc", "host", because: "without --ipc host")
      try refused(nil, "--env", "WARP_SERVICE=app", because: "annotation io.istbpf.deployment")
      #expect(try podman.leftovers().isEmpty)

      podman.runner.killDaemon()
      try refused("shop/app", because: "istbpfd is not running")
      try podman.runner.startDaemon()
    }
  }

  @Test("Variables name deployment and service too")
  func variables() async throws {
    try await PodmanLaboratory.with { podman in
      let result = try podman.run(
        nil, ["--env", "WARP_DEPLOYMENT=shop", "--env", "WARP_SERVICE=app"], "env")
      #expect(result.output.contains("WARP_IST_db=198.18.2.1"), "\(result.errors)")
    }
  }

  @Test("A container with neither is left alone, daemon or not")
  func untouched() async throws {
    try await PodmanLaboratory.with { podman in
      podman.runner.killDaemon()
      for more in [[], ["--privileged"], ["--cgroupns", "host"]] {
        let result = try podman.run(nil, more, "env")
        #expect(result.status == 0, "\(more): \(result.errors)")
        #expect(!result.output.contains("WARP_"))
      }
      #expect(try podman.run(nil, network: "host", [], "ip", "link").output.contains("eth0"))
      try podman.runner.startDaemon()
    }
  }

  @Test("A container that shares its cgroup with others is refused by the hook")
  func sharedCgroup() async throws {
    try await PodmanLaboratory.with { podman in
      let created = try run(
        podman.commandLine(["create"] + podman.options("shop/app") + ["tools", "env"]))
      let container = created.output.trimmingCharacters(in: .whitespacesAndNewlines)
      let cgroup = try podman.cgroup(of: container)
      try cgroup.create()
      let other = try Conversation(["sleep", "1000"])
      defer { other.stop() }
      try cgroup.add(other.processID)
      let result = try podman.podman("start", "--attach", container)
      #expect(result.status != 0)
      #expect(result.errors.contains("is not its own"), "\(result.errors)")
      #expect(try podman.runner.eventually { try podman.leftovers().isEmpty })
    }
  }
}
