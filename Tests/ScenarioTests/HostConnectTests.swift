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

  /// `istbpf connect TARGET --listen` and the port that it forwards.
  private func forward(
    _ runner: RunnerLaboratory, _ target: String
  ) throws -> (command: Conversation, port: Int) {
    let command = try Conversation(
      runner.commandLine(["connect", target, "--listen", "127.0.0.1:0"]))
    runner.laboratory.atEnd { command.stop() }
    let isListening = runner.eventually { command.errorText.contains("listening on 127.0.0.1:") }
    #expect(isListening)
    let port = try #require(
      command.errorText.split(separator: ":").last.flatMap {
        Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
      })
    return (command, port)
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
      // Two writes of the program's, so that one comes when nobody reads any more.
      let unread = try run(
        [
          "bash", "-c",
          "{ { yes | head -c 400000; } 2>/dev/null | env \"$@\"; echo $? >&3; } 3>&2 | head -c 1",
          "bash",
        ]
          + runner.commandLine(["connect", "shop/db"]))
      #expect(unread.output == "s" && unread.errors == "141\n", "\(unread)")
      let full = try run(
        ["sh", "-c", "env \"$@\" </dev/null >/dev/full", "sh"]
          + runner.commandLine(["connect", "shop/db"]))
      #expect(full.status == 1 && full.errors.contains("cannot write: No space left"))
      let metrics = try HTTP.get("http://127.0.0.1:29471/metrics")
      #expect(
        metrics.contains(
          #"istbpf_host_connects_total{deployment="shop",service="db"} 5"#), "\(metrics)")
      #expect(runner.logs("to shop/db.2, port 3211"), "\(runner.daemon?.log ?? "")")
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
      let (_, port) = try forward(runner, "shop/db")
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

  @Test("Prometheus scrapes an instance through a forwarded port")
  func scraped() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app:9100")
      let exporter = """
        import http.server
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(b"orders_total 7\\n")
        server = http.server.ThreadingHTTPServer(("", 9100), Handler)
        print("up", flush=True)
        server.serve_forever()
        """
      let app = try runner.start("shop/app", "/usr/bin/python3", "-c", exporter)
      #expect(try app.nextLine() == "up")
      let (_, port) = try forward(runner, "shop/app")

      let directory = "/tmp/\(runner.installation.name)-prometheus"
      runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      try """
      scrape_configs:
        - job_name: app
          scrape_interval: 1s
          static_configs:
            - targets: ["127.0.0.1:\(port)"]

      """.write(toFile: "\(directory)/prometheus.yml", atomically: true, encoding: .utf8)
      let address = "127.0.0.9:\(UInt16.random(in: 9000...29000))"
      let prometheus = try Conversation([
        "prometheus", "--config.file=\(directory)/prometheus.yml",
        "--storage.tsdb.path=\(directory)/data", "--web.listen-address=\(address)",
        "--log.level=error",
      ])
      runner.laboratory.atEnd { prometheus.stop() }
      let hasValue = runner.eventually(within: 20) {
        (try? HTTP.get("http://\(address)/api/v1/query?query=orders_total"))?
          .contains(#""7"]"#) == true
      }
      #expect(hasValue, "\(prometheus.errorText)")
      app.stop()
    }
  }

  /// A program that answers each connection to port 3211 with a line, and then resets it.
  private static let resetting = """
    import socket, struct
    listener = socket.create_server(("0.0.0.0", 3211))
    print("listening", flush=True)
    while True:
        peer, _ = listener.accept()
        peer.sendall(b"so far\\n")
        peer.recv(1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    """

  @Test("What an instance resets is an error, here and for a client of a forwarded port")
  func reset() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "db:3211")
      let db = try Conversation(
        runner.commandLine(
          ["run", "-d", "shop", "-s", "db", "--", "/usr/bin/python3", "-c", Self.resetting]))
      runner.laboratory.atEnd { db.stop() }
      #expect(try db.nextLine() == "listening")
      let result = try connect(runner, "shop/db", input: "x")
      #expect(result.status == 1 && result.output == "so far\n", "\(result.output)")
      #expect(result.errors.contains("Connection reset by peer"), "\(result.errors)")

      let (_, port) = try forward(runner, "shop/db")
      let client = """
        import socket
        end = socket.create_connection(("127.0.0.1", \(port)), 20)
        print(end.recv(100).decode().strip())
        end.sendall(b"x")
        try:
            print("end" if end.recv(100) == b"" else "more")
        except ConnectionResetError:
            print("reset")
        """
      #expect(try run("/usr/bin/python3", "-c", client).output == "so far\nreset\n")
    }
  }

  @Test("A connection goes on when istbpfd is killed")
  func outlives() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "db:3211")
      let db = try runner.instance(of: "shop/db")
      try db.listen(3211)
      let connection = try Conversation(runner.commandLine(["connect", "shop/db"]))
      runner.laboratory.atEnd { connection.stop() }
      #expect(try connection.nextLine() == "shop/db at 198.18.1.2")
      try connection.say("one")
      #expect(try connection.nextLine() == "one")
      runner.killDaemon()
      try connection.say("two")
      #expect(try connection.nextLine() == "two")
      try runner.startDaemon()
      try connection.say("three")
      #expect(try connection.nextLine() == "three")
    }
  }

  @Test("Whoever gets the connection cannot make an instance's of it")
  func bound() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211")
      _ = try runner.instance(of: "shop/app")
      let db = try runner.instance(of: "shop/db")
      try db.listen(3211)
      let path = runner.installation.connectSocketPath
      let program = """
        import errno, socket
        daemon = socket.socket(socket.AF_UNIX)
        daemon.connect("\(path)")
        daemon.sendall(b"shop/db 0\\n")
        line, descriptors, _, _ = socket.recv_fds(daemon, 4096, 4)
        print(line.decode().strip(), len(descriptors))
        end = socket.socket(fileno=descriptors[0])
        print(*end.getsockname()[:1], *end.getpeername())
        print(end.getsockopt(socket.SOL_IP, 19), end.recv(100).decode().strip())
        # connect(2) with AF_UNSPEC, which Python has no word for.
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.connect(end.fileno(), bytes(16), 16))
        for address in ("198.18.1.2", "198.18.9.9", "198.18.0.1", "0.0.0.0"):
            try:
                end.bind((address, 0))
                print("bound")
            except OSError as error:
                print(errno.errorcode[error.errno])
        end.connect(("198.18.2.2", 3211))
        print(*end.getsockname()[:1])
        """
      let result = try run("/usr/bin/python3", "-c", program)
      #expect(
        result.output == """
          connected shop/db.2 1
          198.18.0.2 198.18.2.2 3211
          0 shop/db at 198.18.2.2
          0
          EADDRNOTAVAIL
          EINVAL
          EINVAL
          EINVAL
          198.18.0.2

          """, "\(result.output)\(result.errors)")
    }
  }

  @Test("Callers that take their time to say what they want keep nobody else waiting")
  func slow() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "db:3211")
      let db = try runner.instance(of: "shop/db")
      try db.listen(3211)
      let path = runner.installation.connectSocketPath
      let program = """
        import socket, time
        ends = [socket.socket(socket.AF_UNIX) for _ in range(64)]
        for end in ends:
            end.connect("\(path)")
        print("connected", flush=True)
        begin = time.monotonic()
        while time.monotonic() - begin < 30 and ends:
            for end in list(ends):
                try:
                    end.sendall(b"s")
                except OSError:
                    ends.remove(end)
            time.sleep(1)
        print(len(ends), "left", flush=True)
        """
      let callers = try Conversation(["/usr/bin/python3", "-c", program])
      runner.laboratory.atEnd { callers.stop() }
      #expect(try callers.nextLine() == "connected")
      #expect(try callers.nextLine() == "0 left")
      #expect(try connect(runner, "shop/db").output == "shop/db at 198.18.1.2\n")
    }
  }
}
