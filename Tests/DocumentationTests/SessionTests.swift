import Foundation
import TestSupport
import Testing

@Suite("Sessions of the documentation", .timeLimit(.minutes(5)))
struct SessionTests {
  /// A command of a session, and what the page shows of its output.
  struct Step {
    let command: String
    var output: [String] = []
  }

  @Test("Each session does what its page shows", arguments: ["Documentation/get-started.md"])
  func session(path: String) async throws {
    let steps = Self.steps(of: try Page(path))
    #expect(steps.count > 5)
    try await RunnerLaboratory.with { runner in
      let programs = URL(fileURLWithPath: try Product.istbpf()).deletingLastPathComponent().path
      // One shell runs all of it, and says where each command's output ends.
      let script = steps.map { "\($0.command)\necho '\(Self.mark)'\n" }.joined()
      let file = FileManager.default.temporaryDirectory.appending(
        path: "session-\(runner.installation.name)")
      try script.write(to: file, atomically: true, encoding: .utf8)
      defer { try? FileManager.default.removeItem(at: file) }  // it is in a directory for such
      let result = try run(
        "timeout", "120", "env", "--ignore-environment",
        "PATH=\(programs):/usr/bin:/bin:/usr/sbin:/sbin",
        "ISTBPF_INSTALLATION=\(runner.installation.name)", "bash", "-c",
        "exec bash \(file.path) 2>&1"
      )
      let outputs = result.output.components(separatedBy: Self.mark + "\n")
      #expect(outputs.count == steps.count + 1, "it ended early: \(result.output)")
      for (step, output) in zip(steps, outputs) {
        let shown = step.output.joined(separator: "\n")
        #expect(
          Self.matches(output.trimmingCharacters(in: .newlines), shown),
          "\(path): \(step.command)\ngave\n\(output)\nand not\n\(shown)")
      }
    }
  }

  private static let mark = "-- end of a command --"

  /// The commands are the lines that begin with `$`; a command's output is the lines after it.
  private static func steps(of page: Page) -> [Step] {
    var steps: [Step] = []
    for line in page.blocks(in: ["console"]).joined() {
      if line.hasPrefix("$ ") {
        steps.append(Step(command: String(line.dropFirst(2))))
      } else if !steps.isEmpty {
        steps[steps.count - 1].output.append(line)
      }
    }
    return steps
  }

  /// Whether `output` is what is `shown`, where `...` stands for what is different on each machine.
  private static func matches(_ output: String, _ shown: String) -> Bool {
    let (lines, wanted) = (output.split(separator: "\n"), shown.split(separator: "\n"))
    return lines.count == wanted.count
      && zip(lines, wanted).allSatisfy { line, wanted in
        var rest = line[...]
        let parts = wanted.components(separatedBy: "...")
        for (index, part) in parts.enumerated() {
          if index == 0 {
            guard rest.hasPrefix(part) else { return false }
            rest = rest.dropFirst(part.count)
          } else if index == parts.count - 1 {
            return rest.hasSuffix(part)
          } else {
            guard let found = rest.range(of: part) else { return false }
            rest = rest[found.upperBound...]
          }
        }
        return rest.isEmpty
      }
  }
}
