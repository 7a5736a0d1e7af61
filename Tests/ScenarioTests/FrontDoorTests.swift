import Foundation
import TestSupport
import Testing

@Suite("The front door", .timeLimit(.minutes(10)))
struct FrontDoorTests {
  @Test("A service is at its URL in HTTP/1.1 and HTTP/2, and http leads to https")
  func reached() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      for version in ["--http1.1", "--http2"] {
        let answer = try door.curl(
          version, "--write-out", "%{http_version}", "--data", "a=b",
          "https://app-shop.shop.test/path?q=1")
        #expect(answer.hasPrefix("POST /path?q=1 HTTP/1.1\r\n"), "\(answer)")
        #expect(answer.contains("host: app-shop.shop.test\r\n"))
        #expect(answer.contains("\r\n\r\na=b"))
        #expect(answer.hasSuffix(version == "--http2" ? "2" : "1.1"))
      }
      #expect(
        try door.curl(
          "--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}",
          "http://app-shop.shop.test/a?b=c") == "308 https://app-shop.shop.test/a?b=c")
      #expect(try door.client("websocket", host: "app-shop", "hello") == expectedWebSocket)
      let status = try door.runner.istbpf("status")
      #expect(status.output.contains("https://app-shop.shop.test/"), "\(status.output)")
      app.stop()
    }
  }

  private var expectedWebSocket: String { "HTTP/1.1 101 Switching Protocols | hello\n" }

  @Test("What a client says of where it comes from is overwritten")
  func headers() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      for version in ["--http1.1", "--http2"] {
        let answer = try door.curl(
          version, "-H", "X-Forwarded-For: 6.6.6.6", "-H", "x-forwarded-for: 7.7.7.7", "-H",
          "X-Forwarded-Proto: gopher", "-H", "X-Forwarded-Host: evil.test", "-H",
          "X-Forwarded-Port: 1", "-H", "Forwarded: for=6.6.6.6", "-H", "X-Real-IP: 6.6.6.6", "-H",
          "Proxy: evil.test", "-H", "X-Client-IP: 6.6.6.6", "-H", "X-Forwarded-Prefix: /evil.test",
          "-H", "X_Forwarded_For: 6.6.6.6", "-H", "X-Forwarded: for=6.6.6.6", "-H",
          "Forwarded-For: 6.6.6.6", "-H", "True-Client-IP: 6.6.6.6", "-H",
          "X-Cluster-Client-IP: 6.6.6.6", "-H", "CF-Connecting-IP: 6.6.6.6", "-H",
          "X-Original-URL: /evil.test", "-H", "X-Rewrite-URL: /evil.test", "-H",
          "X-Host: evil.test", "-H", "X-Forwarded-Server: evil.test", "-H", "X-Scheme: gopher",
          "-H", "X-SSL-Client-DN: evil.test", "-H", "Remote_User: evil.test", "-H",
          "Client-Cert: :evil.test:", "-H", "X-Client-Version: kept", "-H", "X-Request-Id: kept",
          "https://app-shop.shop.test/")
        for line in [
          "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https", "x-forwarded-port: 443",
          "x-forwarded-host: app-shop.shop.test",
        ] { #expect(answer.contains("\r\n\(line)\r\n"), "\(line): \(answer)") }
        for lie in ["6.6.6.6", "7.7.7.7", "gopher", "evil.test"] {
          #expect(!answer.contains(lie), "\(answer)")
        }
        #expect(answer.split(separator: "kept").count == 3, "what claims nothing: \(answer)")
      }
      // The next proxy would drop a header that is named there.
      let answer = try door.client(
        "raw", host: "app-shop",
        input: "GET / HTTP/1.1\\r\\nHost: app-shop.shop.test\\r\\n"
          + "Connection: close, X-Forwarded-For\\r\\n\\r\\n")
      let connection = answer.lowercased().split(whereSeparator: \.isNewline).filter {
        $0.hasPrefix("connection:")
      }
      #expect(answer.hasPrefix("HTTP/1.1 200 ") && !connection.isEmpty, "\(answer)")
      #expect(connection.allSatisfy { !$0.contains("x-forwarded-for") }, "\(answer)")
      // With an upgrade to HTTP/2 the client would speak to the service past all of these rules.
      let upgraded = try door.client(
        "raw", host: "app-shop",
        input: "GET / HTTP/1.1\\r\\nHost: app-shop.shop.test\\r\\nUpgrade: h2c\\r\\n"
          + "HTTP2-Settings: AAMAAABkAAQAAP__\\r\\nConnection: close, Upgrade, HTTP2-Settings\\r\\n\\r\\n"
      ).lowercased()
      #expect(upgraded.hasPrefix("http/1.1 200 "), "\(upgraded)")
      #expect(!upgraded.contains("h2c") && !upgraded.contains("http2-settings"), "\(upgraded)")
      app.stop()
    }
  }

  @Test(
    "404 for a private or unknown service, 421 for another domain, 503 without an instance, 502 for a port that nobody serves"
  )
  func statuses() async throws {
    try await FrontDoorLaboratory.with { door in
      let directory = "/tmp/\(door.runner.installation.name)-hidden"
      door.runner.laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
      try FileManager.default.createDirectory(
        atPath: "\(directory)/hidden", withIntermediateDirectories: true)
      try #"{"private": true}"#.write(
        toFile: "\(directory)/hidden/warp.config.json", atomically: true, encoding: .utf8)
      #expect(
        try door.runner.istbpf("deploy", "-d", "shop", "\(directory)/hidden", "-s", "app").status
          == 0)
      try door.runner.deploy("shop", "idle", "closed:65500")
      let hidden = try FrontDoorLaboratory.serve("shop/hidden", on: door.runner)
      let closed = try FrontDoorLaboratory.serve("shop/closed", on: door.runner)
      let app = try door.serve("shop/app")

      for host in ["hidden-shop", "nobody-shop"] {
        #expect(
          try door.curl("--write-out", "%{http_code}", "https://\(host).shop.test/")
            == "404 Not Found: shop.test has no service of this name, or it is private.\n404")
      }
      #expect(
        try door.curl("--write-out", "%{http_code}", "https://idle-shop.shop.test/")
          == "503 Service Unavailable: shop/idle has no instance that runs.\n503")
      for version in ["--http1.1", "--http2"] {
        let answer = try door.curl(
          version, "--write-out", "%{http_code}", "--data", String(repeating: "x", count: 100_000),
          "https://closed-shop.shop.test/")
        #expect(
          answer
            == "502 Bad Gateway: no instance of shop/closed accepts connections on port 65500.\n502"
        )
      }
      #expect(
        try door.curl(
          "--write-out", "%{http_code}", "--insecure", "https://app-shop.evil.test/")
          == "421 Misdirected Request: this front door serves names below shop.test.\n421")
      #expect(
        try door.curl(
          "--output", "/dev/null", "--write-out", "%{http_code}", "http://nobody-shop.shop.test/")
          == "404")
      for instance in [hidden, closed, app] { instance.stop() }
      #expect(try door.runner.eventually { try door.status("app-shop") == "503" })
    }
  }

  @Test("Instances come and go without a reload, and one that does not listen costs no request")
  func instances() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      #expect(try door.runner.eventually { try door.status("app-shop") == "503" })
      let (generation, proxy) = (try door.generation(), try door.proxy())
      let first = try door.serve("shop/app")
      let deaf = try door.runner.start("shop/app", "sleep", "1000")
      #expect(try door.runner.eventually { try door.runner.listedInstances().count == 2 })
      for _ in 0..<20 { #expect(try door.status("app-shop") == "200") }
      let second = try FrontDoorLaboratory.serve("shop/app", on: door.runner)
      #expect(
        try door.runner.eventually {
          try door.curl("--include", "https://app-shop.shop.test/").contains(": 198.18.1.4")
        })
      first.stop()
      for _ in 0..<20 { #expect(try door.status("app-shop") == "200") }
      for instance in [second, deaf] { instance.stop() }
      #expect(try door.runner.eventually { try door.status("app-shop") == "503" })
      #expect(try door.generation() == generation)
      #expect(try door.proxy() == proxy)
    }
  }

  @Test("Of 1,000 requests during ten reloads none fails, in HTTP/1.1 and HTTP/2")
  func reloads() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      let proxy = try door.proxy()
      let load = try door.startClient("many", host: "app-shop", ["1000"])
      var (seen, statuses) = (Set([try door.generation()]), "")
      for number in 1...10 {
        try door.runner.deploy("shop", "more\(number)")
        #expect(try door.runner.eventually { !seen.contains(try door.generation()) })
        seen.insert(try door.generation())
        statuses += try door.curl(
          "--http2", "--parallel", "--output", "/dev/null", "--write-out", "%{http_code} ",
          "https://app-shop.shop.test/[1-20]")
      }
      #expect(try load.nextLine(patience: 120) == "0 of 1000 failed")
      #expect(statuses == String(repeating: "200 ", count: 200))
      #expect(seen.count == 11)
      #expect(try door.proxy() == proxy)
      app.stop()
    }
  }
}
