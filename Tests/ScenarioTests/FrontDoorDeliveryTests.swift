import Foundation
import TestSupport
import Testing

@Suite("A request of the front door is delivered once", .timeLimit(.minutes(10)))
struct FrontDoorDeliveryTests {
  /// How often an instance of shop/app has had a request whose path begins so.
  private func deliveries(_ path: String, _ door: FrontDoorLaboratory) throws -> Int {
    let seen = try door.curl("https://app-shop.shop.test/seen")
    return seen.split(separator: "\n").filter { $0.contains(" \(path)") }.count
  }

  @Test("What the instance answers without an end or not at all is 502, and is never sent again")
  func unanswered() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      for version in ["--http1.1", "--http2"] {
        for kind in ["close", "partial", "interim", "early"] {
          let path = "/\(kind)/\(version)"
          let answer = try door.curl(
            version, "--write-out", "%{http_code}", "--data", "a=b",
            "https://app-shop.shop.test\(path)")
          #expect(
            answer == """
              502 Bad Gateway: an instance of shop/app ended the connection before it had answered. \
              The request reached it once, and is not sent again.\n502
              """, "\(path): \(answer)")
          #expect(try deliveries(path, door) == 1, "\(path)")
        }
        // A client believes that a connection which it has used before may have been closed unawares.
        let path = "/close/second/\(version)"
        let answers = try door.curl(
          version, "--output", "/dev/null", "--write-out", "%{http_code} ", "--data", "a=b",
          "https://app-shop.shop.test/first", "--output", "/dev/null",
          "https://app-shop.shop.test\(path)")
        #expect(answers == "200 502 ")
        #expect(try deliveries(path, door) == 1, "\(path)")
      }
      app.stop()
    }
  }

  @Test(
    "In HTTP/2 no stream is refused that an instance may have had, and WebSockets are requests too")
  func streams() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      func h2(_ arguments: String...) throws -> String {
        let client = try door.startClient("h2", host: "app-shop", arguments)
        defer { client.stop() }
        return try client.nextLine()
      }
      let gone = "502 502 Bad Gateway: an instance of shop/app ended the connection"
      #expect(try h2("POST", "/close/h2").hasPrefix(gone))
      #expect(try h2("GET", "/close/get").hasPrefix(gone))
      #expect(try h2("CONNECT", "/close/websocket-h2", "websocket").hasPrefix(gone))
      #expect(
        try door.client("websocket", host: "app-shop", "hello", "/close/websocket-h1")
          .hasPrefix("HTTP/1.1 502 "))
      for path in ["h2", "get", "websocket-h2", "websocket-h1"] {
        #expect(try deliveries("/close/\(path)", door) == 1, "\(path)")
      }
      #expect(
        try door.client("websocket", host: "app-shop", "still")
          == "HTTP/1.1 101 Switching Protocols | still\n")
      app.stop()
    }
  }

  @Test("A request that ends its instance leaves the other two")
  func crash() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let instances = try [
        door.serve("shop/app"), FrontDoorLaboratory.serve("shop/app", on: door.runner),
        FrontDoorLaboratory.serve("shop/app", on: door.runner),
      ]
      #expect(try door.runner.eventually { try door.runner.listedInstances().count == 3 })
      for (version, left) in [("--http2", 2), ("--http1.1", 1)] {
        #expect(
          try door.curl(
            version, "--output", "/dev/null", "--write-out", "%{http_code}", "--data", "a=b",
            "https://app-shop.shop.test/crash") == "502")
        #expect(try door.runner.eventually { try door.runner.listedInstances().count == left })
        usleep(500_000)
        #expect(try door.runner.listedInstances().count == left)
        #expect(try door.status("app-shop") == "200")
      }
      for instance in instances { instance.stop() }
    }
  }

  @Test("A relay that ends during a request has it sent by nobody again")
  func relayKilled() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      let client = try door.startClient("h2", host: "app-shop", ["POST", "/wait/3/daemon"])
      #expect(try door.runner.eventually { try deliveries("/wait/3/daemon", door) == 1 })
      door.runner.killRelay()
      #expect(try client.nextLine().hasPrefix("502 502 Bad Gateway: "))
      #expect(try door.runner.eventually { try door.status("app-shop") == "200" })
      #expect(try deliveries("/wait/3/daemon", door) == 1)
      app.stop()
    }
  }

  @Test(
    "A lone instance that restarts is waited for, and one that does not come back for some seconds")
  func restart() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let first = try door.serve("shop/app")
      first.stop()
      #expect(try door.runner.eventually { try door.runner.listedInstances().isEmpty })
      let begin = Date()
      #expect(try door.status("app-shop") == "503")
      #expect(Date().timeIntervalSince(begin) > 3)

      let waiting = try door.startClient("h2", host: "app-shop", ["POST", "/restarted"])
      let second = try FrontDoorLaboratory.serve("shop/app", on: door.runner)
      #expect(try waiting.nextLine().hasPrefix("200 POST /restarted HTTP/1.1|"))
      #expect(try deliveries("/restarted", door) == 1)
      second.stop()

      // It runs, and takes a moment until it listens.
      let late = try door.runner.start(
        "shop/app", "sh", "-c", "sleep 1.5; exec /usr/bin/python3 \"$0\" serve 8080",
        FrontDoorLaboratory.program)
      #expect(try door.runner.eventually { try door.runner.listedInstances().count == 1 })
      #expect(try door.status("app-shop", "/late") == "200")
      #expect(try deliveries("/late", door) == 1)
      late.stop()
    }
  }

  @Test(
    "A service is waited for as long as its timeout says: long polls, and the pauses of streams")
  func timeouts() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.declare("shop", "hasty", #"{"deployment": {"timeout": 2}}"#)
      try door.declare("shop", "app", #"{"deployment": {"timeout": 200}}"#)
      let (hasty, app) = (try door.serve("shop/hasty"), try door.serve("shop/app"))
      for version in ["--http1.1", "--http2"] {
        #expect(
          try door.curl(
            version, "--write-out", "%{http_code}", "https://hasty-shop.shop.test/wait/20")
            == "504 Gateway Timeout: shop/hasty sent nothing for 2 s.\n504")
      }
      // Longer than the client's own timeout, which is 60 s.
      let poll = try door.startClient("h2", host: "app-shop", ["POST", "/wait/65"])
      let stream = try door.startClient("h2", host: "app-shop", ["GET", "/stream/65"])
      #expect(
        try door.curl("--http1.1", "--max-time", "100", "https://app-shop.shop.test/wait/65")
          .hasPrefix("GET /wait/65 HTTP/1.1\r\n"))
      #expect(try poll.nextLine().hasPrefix("200 POST /wait/65 HTTP/1.1|"))
      #expect(try stream.nextLine() == "200 begin end")
      struct Status: Decodable {
        struct Deployment: Decodable { let services: [Service] }
        struct Service: Decodable { let timeout: Int? }
        let deployments: [Deployment]
      }
      let status = try JSONDecoder().decode(
        Status.self, from: Data(try door.runner.istbpf("status", "--json").output.utf8))
      #expect(status.deployments.first?.services.map(\.timeout) == [2, 200])
      for instance in [hasty, app] { instance.stop() }
    }
  }
}
