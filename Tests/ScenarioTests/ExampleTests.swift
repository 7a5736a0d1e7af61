import Foundation
import TestSupport
import Testing

@Suite("Examples", .timeLimit(.minutes(10)))
struct ExampleTests {
  @Test("The two services of Examples/greeting talk, and leave nothing declared")
  func greeting() async throws {
    try await RunnerLaboratory.with { runner in
      let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Examples/greeting/run").path
      let programs = URL(fileURLWithPath: try Product.istbpf()).deletingLastPathComponent()
      let result = try run(
        "env", "PATH=\(programs.path):/usr/bin:/bin:/usr/sbin:/sbin",
        "ISTBPF_INSTALLATION=\(runner.installation.name)", script)
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.output.contains("hello 198.18.2.2, I am greeter\n"))
      let status = try runner.istbpf("status", "--json")
      #expect(status.status == 0 && !status.output.contains("greeting"))
    }
  }

  @Test(
    "Examples/two-clients shows the calls, one URL and the other's 502, with a daemon of its own",
    arguments: ["podman", "docker", "istbpf"])
  func twoClients(engine: String) async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let (namespace, _) = try runner.laboratory.namespace()
      #expect(try run("ip", "-n", namespace, "link", "set", "lo", "up").status == 0)
      let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Examples/two-clients/run").path
      let programs = URL(fileURLWithPath: try Product.istbpf()).deletingLastPathComponent()
      let result = try run(
        "nsenter", "--net=/run/netns/\(namespace)", "env",
        "PATH=\(programs.path):/usr/bin:/bin:/usr/sbin:/sbin",
        "ISTBPF_INSTALLATION=\(runner.installation.name)", script, engine)
      #expect(result.status == 0, "\(result.errors)")
      for text in [
        "ctna heard: hello 198.18.1.2\n", "ctna heard: hello 198.18.1.3\n",
        "https://ctna-two-clients.example.test:18443/\nhello 198.18.1.",
        "https://ctnb-two-clients.example.test:18443/\n502 Bad Gateway: no instance of two-clients/ctnb "
          + "accepts connections on port 65500.\n502",
      ] { #expect(result.output.contains(text), "\(result.output)") }
      #expect(runner.traces().isEmpty)
    }
  }

  @Test("Examples/outside calls a server by a name that a rule has, and leaves nothing behind")
  func outside() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Examples/outside/run").path
      let programs = URL(fileURLWithPath: try Product.istbpf()).deletingLastPathComponent()
      let result = try run(
        "env", "PATH=\(programs.path):/usr/bin:/bin:/usr/sbin:/sbin",
        "ISTBPF_INSTALLATION=\(runner.installation.name)", script)
      #expect(result.status == 0, "\(result.errors)")
      for text in [
        "by the rule api.outside.test:443, whose name has this address",
        "api.outside.test: paid, api.outside.test\n", "www.outside.test: EAI_AGAIN\n",
      ] { #expect(result.output.contains(text), "\(result.output)") }
      #expect(runner.traces().isEmpty)
    }
  }
}
