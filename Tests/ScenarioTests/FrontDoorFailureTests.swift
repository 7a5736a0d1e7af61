import Foundation
import LinuxSystem
import TestSupport
import Testing

@Suite("What goes wrong at the front door", .timeLimit(.minutes(10)))
struct FrontDoorFailureTests {
  @Test("HAProxy has no rights, and is started again when it is killed")
  func proxyKilled() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      let proxy = try door.proxy()
      let status = try SmallFile.read("/proc/\(proxy)/status")
      let uid = try run("id", "-u", "haproxy").output.trimmingCharacters(in: .newlines)
      #expect(status.contains("Uid:\t\(uid)\t\(uid)\t\(uid)\t\(uid)\n"))
      #expect(status.contains("CapBnd:\t0000000000000400\n"), "net_bind_service alone")
      #expect(status.contains("NoNewPrivs:\t1\n"))

      kill(proxy, SIGKILL)
      #expect(
        try door.runner.eventually(within: 20) {
          try door.proxy() != proxy && door.status("app-shop") == "200"
        })
      app.stop()
    }
  }

  @Test(
    "With the daemon killed requests go on; with the relay too, HAProxy answers 503 until there is another"
  )
  func daemonKilled() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      let proxy = try door.proxy()
      door.runner.killDaemon()
      #expect(try door.status("nobody-shop") == "404", "HAProxy is there")
      #expect(try door.status("app-shop") == "200")
      door.runner.killRelay()
      #expect(try door.status("app-shop") == "503")
      try door.runner.startDaemon()
      #expect(try door.runner.eventually { try door.status("app-shop") == "200" })
      #expect(try door.runner.eventually { try door.proxy() == proxy }, "it was adopted")

      // The next daemon learns that the service has no instance any more.
      door.runner.killDaemon()
      app.stop()
      try door.runner.startDaemon()
      #expect(try door.runner.eventually { try door.status("app-shop") == "503" })
    }
  }

  @Test("With a daemon that has no front door any more HAProxy ends")
  func disabled() async throws {
    try await FrontDoorLaboratory.with { door in
      let isUp = try door.runner.eventually { try door.proxy() != 0 }
      #expect(isUp)
      let proxy = try door.proxy()
      door.runner.killDaemon()
      let file = "\(door.certificates)/none.json"
      try "{}".write(toFile: file, atomically: true, encoding: .utf8)
      try door.runner.startDaemon(options: ["--config", file])
      // It may be a zombie until who has adopted it looks.
      #expect((try? ProcessHandle(proxy))?.hasEnded != false)
    }
  }

  @Test("New certificates are taken over, and one that is none changes nothing and is told")
  func certificates() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      let before = try serial(door)
      try door.authority("issue-domain", "shop.test", "--out", door.certificates)
      #expect(try door.runner.eventually(within: 10) { try serial(door) != before })
      #expect(try door.status("app-shop") == "200")

      let after = try serial(door)
      try "no certificate".write(
        toFile: "\(door.certificates)/a.pem", atomically: true, encoding: .utf8)
      #expect(
        try door.runner.eventually(within: 10) {
          try door.runner.istbpf("status").output.contains("a.pem")
        })
      #expect(try serial(door) == after)
      #expect(try door.status("app-shop") == "200")
      try FileManager.default.removeItem(atPath: "\(door.certificates)/a.pem")
      #expect(
        try door.runner.eventually(within: 20) {
          try !door.runner.istbpf("status").output.contains("a.pem")
        })
      app.stop()
    }
  }

  private func serial(_ door: FrontDoorLaboratory) throws -> String {
    let text = try door.curl(
      "--output", "/dev/null", "--write-out", "%{certs}", "https://app-shop.shop.test/")
    let line = text.split(separator: "\n").first { $0.hasPrefix("Serial Number") }
    return line.map(String.init) ?? text
  }

  @Test(
    "A public name that another deployment's service has is refused; a private service may come to it"
  )
  func collision() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("c", "a-b")
      let refused = try door.runner.istbpf("deploy", "-d", "b-c", "-s", "a")
      #expect(refused.status == 1)
      #expect(
        refused.errors.contains("of b-c/a would begin with a-b-c, as that of c/a-b does"),
        "\(refused.errors)")
      #expect(try door.runner.inspect("deployments").count == 1)
      let instance = try FrontDoorLaboratory.serve("c/a-b", on: door.runner)
      #expect(try door.runner.eventually { try door.status("a-b-c") == "200" })
      instance.stop()
    }
  }

  @Test("Requests that would be smuggled past HAProxy never become two")
  func smuggling() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      let host = "Host: app-shop.shop.test\\r\\n"
      let hidden = "GET /smuggled HTTP/1.1\\r\\n\(host)\\r\\n"
      for request in [
        // Content-Length and Transfer-Encoding disagree, either way.
        "POST /1 HTTP/1.1\\r\\n\(host)Content-Length: 6\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
        "POST /2 HTTP/1.1\\r\\n\(host)Content-Length: 4\\r\\nTransfer-Encoding: xchunked\\r\\n\\r\\n\(hidden)",
        "POST /3 HTTP/1.1\\r\\n\(host)Content-Length: 0\\r\\nContent-Length: 44\\r\\n\\r\\n\(hidden)",
        "POST /4 HTTP/1.1\\r\\n\(host)Transfer-Encoding : chunked\\r\\n\\r\\n0\\r\\n\\r\\n\(hidden)",
        "POST /5 HTTP/1.1\\r\\n\(host)Content-Length: +5\\r\\n\\r\\n\(hidden)",
        "GET /6 HTTP/1.1\\r\\n\(host)Host: evil.test\\r\\n\\r\\n",
        "GET /7 HTTP/1.1\\r\\n\(host) folded: x\\r\\n\\r\\n", "GET /8 HTTP/1.1\\nfoo\\n\\n",
      ] { _ = try door.client("raw", host: "app-shop", input: request) }
      let seen = try door.curl("https://app-shop.shop.test/seen")
      #expect(!seen.contains("smuggled"), "\(seen)")
      for refused in ["/3", "/4", "/5", "/6", "/8"] { #expect(!seen.contains(refused), "\(seen)") }
      #expect(try door.status("app-shop") == "200")
      #expect(
        try door.client("websocket", host: "app-shop", "still")
          == "HTTP/1.1 101 Switching Protocols | still\n")
      app.stop()
    }
  }

  @Test("Abuse of HTTP/2 leaves HAProxy as it was")
  func abuse() async throws {
    try await FrontDoorLaboratory.with { door in
      try door.runner.deploy("shop", "app")
      let app = try door.serve("shop/app")
      let proxy = try door.proxy()
      #expect(try door.client("abuse", host: "app-shop") == "done\n")
      #expect(
        try door.curl(
          "--http2", "--output", "/dev/null", "--write-out", "%{http_code}",
          "https://app-shop.shop.test/") == "200")
      #expect(try door.proxy() == proxy)
      app.stop()
    }
  }
}
