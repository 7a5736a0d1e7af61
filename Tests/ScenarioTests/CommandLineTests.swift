import Foundation
import TestSupport
import Testing

@Suite("What is typed, and what a terminal shows", .timeLimit(.minutes(10)))
struct CommandLineTests {
  @Test(
    "What is mistyped gets what was meant",
    arguments: [
      ("depoy", "Unknown command 'depoy'. Did you mean 'istbpf deploy'?"),
      ("rnu", "Unknown command 'rnu'. Did you mean 'istbpf run'?"),
      ("statu --json", "Unknown command 'statu'. Did you mean 'istbpf status'?"),
      ("-d shop pss", "Unknown command 'pss'. Did you mean 'istbpf ps'?"),
      ("runtime confgure", "Unknown command 'confgure'. Did you mean 'istbpf runtime configure'?"),
      ("configure", "Unknown command 'configure'. Did you mean 'istbpf runtime configure'?"),
      ("list", "Did you mean 'istbpf runner list' or 'istbpf ca list'?"),
      ("ca lst", "Unknown command 'lst'. Did you mean 'istbpf ca list'?"),
      ("help depoy", "Unknown command 'depoy'. Did you mean 'istbpf deploy'?"),
      ("zebra", "Unknown command 'zebra'; there are deploy, run, env, "),
      ("--jsn ps", "Unknown option '--jsn'. Did you mean '--json'?"),
      ("deploy --servce app", "Unknown option '--servce'. Did you mean '--service'?"),
      ("deploy --deploymnt shop", "Unknown option '--deploymnt'. Did you mean '--deployment'?"),
      ("ps -deployment shop", "Did you mean '--deployment'?"),
      ("ps --deploy shop", "Unknown option '--deploy'. Did you mean '--deployment'?"),
      ("runtime configure --dryrun", "Unknown option '--dryrun'. Did you mean '--dry-run'?"),
      ("-d shop doctor", "Unknown option '-d': 'istbpf doctor' has none such"),
    ])
  func mistyped(line: String, message: String) throws {
    let result = try run([try Product.istbpf()] + line.split(separator: " ").map(String.init))
    #expect(result.status == 64)
    #expect(result.errors.hasPrefix("Error: "), "\(result.errors)")
    #expect(result.errors.contains(message), "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test("What the daemon is mistyped gets what was meant")
  func daemon() throws {
    for (option, value, message) in [
      ("--runer-name", "r1", "Did you mean '--runner-name'?"),
      ("--log-level", "inof", "'inof' is no log level. Did you mean 'info'?"),
    ] {
      let result = try run(try Product.istbpfd(), option, value)
      #expect(result.status == 64)
      #expect(result.errors.contains(message), "\(result.errors)")
    }
  }

  @Test("Options may stand before the command, or behind it")
  func order() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      try runner.deploy("other", "app")
      _ = try runner.instance(of: "shop/app")
      _ = try runner.instance(of: "other/app")
      let name = runner.installation.name
      func same(_ behind: String, _ others: String...) throws {
        let wanted = try runner.istbpf(behind.split(separator: " ").map(String.init))
        #expect(wanted.status == 0, "\(wanted.errors)")
        for other in others {
          let result = try runner.istbpf(other.split(separator: " ").map(String.init))
          #expect(
            result.output == wanted.output && result.status == 0, "\(other): \(result.errors)")
        }
      }
      try same(
        "ps -d shop", "-d shop ps", "--deployment shop ps", "--deployment=shop ps",
        "--installation \(name) -d shop ps", "-d shop --wide ps")
      try same("ps --json -d shop", "--json -d shop ps", "-d shop ps --json")
      try same("status -d shop", "-d shop status")
      try same("env shop/app", "-d shop env app", "env -d shop app", "env app -d shop")
      try same(
        "explain shop/app app:80", "-d shop explain app app:80", "explain -d shop app app:80")
      let status = try runner.istbpf("-d", "shop", "status").output
      #expect(
        status.contains("deployment shop") && !status.contains("deployment other"), "\(status)")
      #expect(try runner.istbpf("-d", "shpo", "status").errors.contains("did you mean \"shop\"?"))
      // What is behind -- is the command's own.
      let echoed = try runner.istbpf(
        "-d", "shop", "run", "-s", "app", "--", "sh", "-c", "echo $WARP_DEPLOYMENT $*", "sh",
        "--json", "ps")
      #expect(echoed.output == "shop --json ps\n", "\(echoed.errors)")

      let place = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
      defer { try? FileManager.default.removeItem(atPath: place) }
      #expect(try runner.istbpf("ca", "--directory", place, "init", "--cluster", "c").status == 0)
      try same("ca list --json --directory \(place)", "ca --directory \(place) --json list")
    }
  }

  @Test("Tables fit the terminal, where there is one, and --wide cuts nothing")
  func width() async throws {
    try await RunnerLaboratory.with { runner in
      let service = "a-service-with-a-name-that-has-as-many-letters-as-it-may"
      try runner.deploy("shop", service)
      _ = try runner.instance(of: "shop/\(service)")
      func lines(_ arguments: [String], columns: Int, _ environment: String...) throws -> [String] {
        let result = try runner.istbpf(
          arguments, wrapper: environment + TestProgram.terminal(columns: columns))
        #expect(result.status == 0, "\(result.output) \(result.errors)")
        return result.output.split(separator: "\n").map(String.init)
      }
      for columns in [60, 80, 100] {
        let cut = try lines(["ps"], columns: columns)
        #expect(cut.allSatisfy { $0.count <= columns }, "\(cut)")
        #expect(cut.last?.contains("…") == true, "\(cut)")
        #expect(cut.last?.contains("198.18.1.2") == true, "\(cut)")
      }
      let whole = try runner.istbpf("ps").output.split(separator: "\n").map(String.init)
      #expect(whole.last?.contains("shop/\(service).2  ") == true, "\(whole)")
      #expect(try lines(["ps", "--wide"], columns: 60) == whole)
      #expect(try lines(["ps"], columns: 200) == whole)
      // COLUMNS goes over what the terminal says.
      #expect(try lines(["ps"], columns: 60, "COLUMNS=200") == whole)
      let json = try runner.istbpf("ps", "--json").output.split(separator: "\n").map(String.init)
      #expect(try lines(["ps", "--json"], columns: 60) == json)
    }
  }

  @Test("Colours are for terminals, and for those who want them")
  func colours() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      func shown(_ environment: [String], terminal: Bool = true) throws -> String {
        let before = ["env", "-u", "NO_COLOR", "TERM=xterm"] + environment
        return try runner.istbpf(
          ["doctor"], wrapper: before + (terminal ? TestProgram.terminal(columns: 80) : [])
        ).output
      }
      #expect(try shown([]).contains("\u{1B}[32mfound\u{1B}[0m"))
      #expect(try shown(["NO_COLOR="]).contains("\u{1B}[32mfound"))
      for environment in [["NO_COLOR=1"], ["TERM=dumb"]] {
        let text = try shown(environment)
        #expect(text.contains("\nfound ") && !text.contains("\u{1B}"), "\(text)")
      }
      let text = try shown([], terminal: false)
      #expect(text.contains("\nfound ") && !text.contains("\u{1B}"), "\(text)")
    }
  }
}
