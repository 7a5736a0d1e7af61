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

  /// The sessions of a page, and what they need that the page does not show. `DIRECTORY` stands for an empty directory, which
  /// the commands run in.
  struct Session: CustomTestStringConvertible, Sendable {
    let path: String
    /// Commands of the shell before all others.
    var before = ""
    /// What is done here instead of what the page has.
    var instead: [(String, String)] = []
    /// What is waited for after a command that goes on in the background.
    var ready = ":"
    /// Whether a command may have output that the page leaves out. It must succeed then.
    var mayLeaveOut = false
    /// The addresses of names outside.
    var names: [String: [String]] = [:]

    var testDescription: String { path }
  }

  /// PostgreSQL's files below DIRECTORY, and the options that it takes there.
  private static let makeDatabase = """
    install -d -o postgres -m 700 DIRECTORY/db
    setpriv --reuid postgres --regid postgres --clear-groups initdb -D DIRECTORY/db --auth trust --no-sync >/dev/null
    echo 'host all all all trust' >>DIRECTORY/db/pg_hba.conf
    """
  private static let databaseOptions =
    "-D DIRECTORY/db -c listen_addresses='*' -c unix_socket_directories= >/dev/null 2>&1"

  /// Waits until somebody accepts what leads to a service.
  private static func accepting(_ service: String) -> String {
    "for _ in $(seq 300); do istbpf connect \(service) </dev/null >/dev/null 2>&1 && break; sleep 0.1; done"
  }

  static let sessions = [
    Session(path: "Documentation/get-started.md"),
    Session(
      path: "README.md", before: makeDatabase,
      instead: [("-p 3211 ... &", "-p 3211 \(databaseOptions) &")], ready: accepting("shop/db")),
    Session(
      path: "Documentation/operate.md",
      before: """
        \(makeDatabase)
        istbpf deploy -d shop -s app -s db:3211 >/dev/null
        istbpf run -d shop -s app -- python3 -m http.server 8080 >/dev/null 2>&1 &
        istbpf run -d shop -s db --user postgres -- postgres -p 3211 \(databaseOptions) &
        \(accepting("shop/app")); \(accepting("shop/db"))
        """,
      ready: "for _ in $(seq 100); do nc -z 127.0.0.1 15432 && break; sleep 0.1; done"),
    Session(
      path: "Documentation/configuration.md",
      before: #"printf '{\n  "cluster": "a",\n  "tunnel": {\n    "deneid": "d" } }' >config.json"#,
      instead: [
        ("istbpfd --check-config", "istbpfd --check-config DIRECTORY/config.json"),
        ("/etc/istbpf/config.json:4", "DIRECTORY/config.json:4"),
      ]),
    Session(
      path: "Documentation/several-runners.md",
      instead: [
        ("ca init", "ca init --directory DIRECTORY/ca"),
        ("ca issue", "ca issue --directory DIRECTORY/ca"), ("/etc/istbpf/ca", "DIRECTORY/ca"),
      ]),
    Session(
      path: "Documentation/egress.md",
      before: """
        mkdir app
        echo '{"container": "app", "deployment": {"egress": ["api.example.com:443"]}}' >app/warp.config.json
        istbpf deploy -d shop app
        """,
      instead: [
        (
          "istbpf observe -d shop",
          "{ timeout --preserve-status --signal INT 2 istbpf observe -d shop || [ $? = 130 ]; }"
        )
      ],
      mayLeaveOut: true, names: ["api.example.com": ["192.0.2.10"]]),
    Session(
      path: "Documentation/ui.md", before: "istbpf deploy -d shop -s app >/dev/null",
      instead: [("istbpf ui", "timeout --signal INT 2 istbpf ui"), ("40921/#6c1f", ".../#")],
      mayLeaveOut: true),
  ]

  @Test("Each session does what its page shows", arguments: sessions)
  func session(session: Session) async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      var variables: [String] = []
      if !session.names.isEmpty {
        let resolver = try TestResolver(runner.laboratory)
        try resolver.say(session.names.mapValues { .addresses($0) })
        variables.append("ISTBPF_EGRESS_RESOLV_CONF=\(resolver.configuration)")
      }
      try runner.startDaemon(wrapper: ["env"] + variables, options: ["--runner-name", "r1"])
      let directory = FileManager.default.temporaryDirectory.appending(
        path: "session-\(runner.installation.name)"
      ).path
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755]
      )
      defer { try? FileManager.default.removeItem(atPath: directory) }  // it is in one for such
      func here(_ text: String) -> String {
        (session.instead + [("DIRECTORY", directory)])
          .reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
      }
      let steps = Self.steps(of: try Page(session.path))
      #expect(!steps.isEmpty)
      try run(steps, of: session, in: directory, on: runner, here)
    }
  }

  private func run(
    _ steps: [Step], of session: Session, in directory: String, on runner: RunnerLaboratory,
    _ here: (String) -> String
  ) throws {
    let programs = URL(fileURLWithPath: try Product.istbpf()).deletingLastPathComponent().path
    // One shell runs all of it, and says where each command's output ends.
    let script =
      "cd \(directory)\n\(here(session.before))\n"
      + steps.map { step in
        let command = here(step.command)
        let ready = command.hasSuffix("&") ? "\n\(session.ready)\n" : "\n"
        return "echo '\(Self.mark)'\n\(command)\(ready)echo \"status $?\"\n"
      }.joined() + "kill $(jobs -p) 2>/dev/null\nwait\n"
    let file = "\(directory).sh"
    try script.write(toFile: file, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: file) }
    let database = try FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")
      .map { "/usr/lib/postgresql/\($0)/bin" }.joined(separator: ":")
    let result = try TestSupport.run(
      "timeout", "120", "env", "--ignore-environment",
      "PATH=\(programs):/usr/bin:/bin:/usr/sbin:/sbin:\(database)",
      "ISTBPF_INSTALLATION=\(runner.installation.name)", "bash", "-c", "exec bash \(file) 2>&1")
    let outputs = result.output.components(separatedBy: Self.mark + "\n").dropFirst()
    #expect(outputs.count == steps.count, "it ended early: \(result.output)")
    for (step, output) in zip(steps, outputs) {
      let shown = here(step.output.joined(separator: "\n"))
      let parts = output.components(separatedBy: "status ")
      let (given, status) = (parts.dropLast().joined(separator: "status "), parts.last ?? "")
      if session.mayLeaveOut && shown.isEmpty {
        #expect(status.hasPrefix("0\n"), "\(session.path): \(step.command)\ngave\n\(output)")
      } else {
        #expect(
          Self.matches(given.trimmingCharacters(in: .newlines), shown),
          "\(session.path): \(step.command)\ngave\n\(given)\nand not\n\(shown)")
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
