import EngineTestSupport
import Foundation
import TestSupport
import Testing

@Suite("What Docker puts into a container's network namespace", .timeLimit(.minutes(10)))
struct ResolverTests {
  @Test(
    "Docker's resolver is not there for an instance, by TCP neither, and health checks still work")
  func resolver() async throws {
    try await DockerLaboratory.with { docker in
      let network = docker.runner.installation.name
      let subnet = "10.\(Int.random(in: 200...240)).\(Int.random(in: 0...255)).0/24"
      let made = try docker.docker(["network", "create", "--subnet", subnet, network])
      #expect(made.status == 0, "\(made.errors)")
      defer { _ = try? docker.docker(["network", "rm", network]) }
      let ordinary = try docker.instance(of: nil, ["--network", network, "--name", "\(network)-o"])
      #expect(try ordinary.tell("peer", "127.0.0.11", 53) == "127.0.0.11")
      let app = try docker.instance(
        of: "shop/app",
        [
          "--network", network, "--name", "\(network)-a", "--health-interval", "1s", "--health-cmd",
          "nc -w 2 192.0.2.1 80; echo | nc -w 2 127.0.0.1 8080",
        ])
      try app.listen(8080)
      #expect(try app.connect("127.0.0.11", 53) == "ECONNREFUSED")
      // Where the rules of NAT lead.
      let process = try docker.docker(["inspect", "--format", "{{.State.Pid}}", "\(network)-a"])
      let sockets = try run([
        "nsenter", "--net", "--target",
        process.output.trimmingCharacters(in: .whitespacesAndNewlines), "ss", "--no-header", "-ltn",
        "src", "127.0.0.11",
      ])
      let address = sockets.output.split(separator: " ").first { $0.hasPrefix("127.0.0.11:") }
      let port = try #require(Int(address?.dropFirst("127.0.0.11:".count) ?? ""), "\(sockets)")
      #expect(try app.connect("127.0.0.11", port) == "ECONNREFUSED")
      #expect(try docker.runner.denials("shop/app", "strangers-socket") >= 1)
      #expect(try app.tell("udp_send", "127.0.0.11", 53) == "EPERM")

      let health = ["inspect", "--format", "{{.State.Health.Status}}", "\(network)-a"]
      let isHealthy = try docker.runner.eventually(within: 20) {
        try docker.docker(health).output == "healthy\n"
      }
      let inspected = try docker.docker(["inspect", "\(network)-a"]).output
      #expect(isHealthy, "\(inspected.suffix(2000))")
      #expect(inspected.contains("Operation not permitted"), "the check itself is guarded")
      let executed = try docker.docker([
        "exec", "\(network)-a", "sh", "-c", "echo | nc -w 2 127.0.0.1 8080",
      ])
      #expect(executed.output.hasPrefix("shop/app at 127.0.0.1"), "\(executed)")
      for name in ["o", "a"] { _ = try docker.docker(["rm", "--force", "\(network)-\(name)"]) }
    }
  }
}
