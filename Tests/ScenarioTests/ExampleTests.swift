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
}
