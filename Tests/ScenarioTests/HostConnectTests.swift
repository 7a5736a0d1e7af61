import Foundation
import TestSupport
import Testing

@Suite("From the host to an instance", .timeLimit(.minutes(10)))
struct HostConnectTests {
  /// Runs `istbpf connect` with this standard input, to its end.
  private func connect(
    _ runner: RunnerLaboratory, _ target: String, input: String = "", wrapper: [String] = []
  ) throws -> CommandResult {
    let command = try runner.commandLine(["connect", target], wrapper: wrapper)
    return try run(["sh", "-c", "printf %s \"$0\" | env \"$@\"", input] + command)
  }

  @Test("Standard input and output are joined to it, and events and metrics say by whom")
  func standardStreams() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      try runner.startDaemon(wrapper: ["env", "ISTBPF_METRICS_ADDRESS=127.0.0.1:29471"])
      try runner.deploy("shop", "app", "db:3211")
      let db = try runner.instance(of: "shop/db")
      try db.listen(3211)
      let observed = try runner.observe("--opened", "--closed")
      let greeting = "shop/db at 198.18.2.2\n"
      let long = String(repeating: "0123456789abcdef", count: 6000)
      for (target, input) in [("shop/db", "ping"), ("shop/db:3211", ""), ("shop/db", long)] {
        let result = try connect(runner, target, input: input)
        #expect(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
        #expect(result.output == greeting + input)
        let opened = try observed.next()
        #expect(opened.event == "opened" && opened.destination?.name == "shop/db.2")
        #expect(opened.source?.name == "istbpf connect" && opened.source?.address == "198.18.0.2")
        let closed = try observed.next()
        #expect(closed.event == "closed" && closed.source?.name == "istbpf connect")
        #expect(closed.received == input.utf8.count, "\(closed)")
      }
      let full = try run(
        ["sh", "-c", "env \"$@\" </dev/null >/dev/full", "sh"]
          + runner.commandLine(["connect", "shop/db"]))
      #expect(full.status == 1 && full.errors.contains("cannot write: No space left"))
      let metrics = try HTTP.get("http://127.0.0.1:29471/metrics")
      #expect(
        metrics.contains(
          #"istbpf_host_connects_total{deployment="shop",service="db"} 4"#), "\(metrics)")
      #expect(
        runner.daemon?.log.contains("to shop/db.2, port 3211") == true,
        "\(runner.daemon?.log ?? "")")
    }
  }

  @Test(
    "What cannot be connected with is named, and whoever may not talk to istbpfd may not connect")
  func refused() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211")
      let app = try runner.instance(of: "shop/app")
      for (target, message) in [
        ("shop/db", "shop/db has no instance that runs"),
        ("shop/app:81", "no instance of shop/app on this runner accepts connections on port 81"),
        ("shop/ap", #"did you mean "app"?"#), ("shp/app", #"did you mean "shop"?"#),
      ] {
        let result = try connect(runner, target)
        #expect(
          result.status == 1 && result.output.isEmpty && result.errors.contains(message),
          "\(target): \(result.errors)")
      }
      for target in ["app", "shop/app:0", "shop/app:65536", "shop/app:x", "/app"] {
        #expect(try connect(runner, target).status == 64, "\(target)")
      }
      let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]
      try app.listen(8080)
      let result = try connect(runner, "shop/app", wrapper: nobody)
      #expect(
        result.status == 1 && result.errors.contains("only root and the group istbpf"),
        "\(result.errors)")
      #expect(try connect(runner, "shop/app").output == "shop/app at 198.18.1.2\n")
      // The address that it comes from is nobody's that could be connected with.
      #expect(try app.connect("198.18.0.2", 8080) == "EHOSTUNREACH")
      runner.killDaemon()
      let without = try connect(runner, "shop/app")
      #expect(without.status == 1 && without.errors.contains("istbpfd is not running"))
    }
  }

  @Test("A port of loopback is forwarded, and connections end with their service")
  func forwarded() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211")
      let db = try runner.instance(of: "shop/db")
      try db.listen(3211)
      let command = try Conversation(
        runner.commandLine(["connect", "shop/db", "--listen", "127.0.0.1:0"]))
      runner.laboratory.atEnd { command.stop() }
      let isListening = runner.eventually { command.errorText.contains("listening on 127.0.0.1:") }
      #expect(isListening)
      let port = try #require(
        command.errorText.split(separator: ":").last.flatMap {
          Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
        })
      let client = """
        import socket, sys
        ends = [socket.create_connection(("127.0.0.1", \(port)), 20) for _ in range(3)]
        files = [end.makefile("rb") for end in ends]
        for number, (end, file) in enumerate(zip(ends, files)):
            greeting = file.readline()
            end.sendall(b"%d\\n" % number)
            print(greeting.decode().strip(), file.readline().decode().strip(), flush=True)
        sys.stdin.readline()
        for file in files:
            try:
                print("end" if file.read() == b"" else "more", flush=True)
            except OSError:
                print("end", flush=True)
        """
      let clients = try Conversation(["/usr/bin/python3", "-c", client])
      runner.laboratory.atEnd { clients.stop() }
      for number in 0..<3 { #expect(try clients.nextLine() == "shop/db at 198.18.2.2 \(number)") }
      #expect(try runner.istbpf("deploy", "-d", "shop", "--replace", "-s", "app").status == 0)
      try clients.say("go on")
      for _ in 0..<3 { #expect(try clients.nextLine() == "end") }
      let wide = try runner.istbpf("connect", "shop/db", "--listen", "0.0.0.0:8080")
      #expect(wide.status == 64, "\(wide.errors)")
    }
  }
}
