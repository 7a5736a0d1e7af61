import TestSupport
import Testing

@Suite("What a program is told when it may not connect", .timeLimit(.minutes(10)))
struct ErrnoContractTests {
  @Test("TCP: EPERM outside, EHOSTUNREACH undeclared, ECONNREFUSED where nobody answers")
  func tcp() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db", "cache")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      for (address, answer) in [
        ("192.0.2.1", "EPERM"), ("10.0.0.1", "EPERM"), ("198.17.255.255", "EPERM"),
        ("198.20.0.1", "EPERM"), ("169.254.0.1", "EPERM"), ("255.255.255.255", "EPERM"),
        ("198.18.9.1", "EHOSTUNREACH"), ("198.18.9.2", "EHOSTUNREACH"),
        ("198.18.0.1", "EHOSTUNREACH"), ("198.18.2.0", "EHOSTUNREACH"),
        ("198.18.2.255", "EHOSTUNREACH"),
        // Declared, without an instance; no such instance.
        ("$WARP_IST_cache", "ECONNREFUSED"), ("198.18.2.3", "ECONNREFUSED"),
        // The instance is there; this one is asked for by its two names below.
        ("198.18.2.2", "shop/db at 198.18.2.2"),
      ] {
        #expect(try app.connect(address, 3211) == answer, "\(address)")
      }
      #expect(try app.connect("$WARP_IST_db", 3212) == "ECONNREFUSED")
      #expect(try app.connect("198.18.2.2", 3212) == "ECONNREFUSED")
      #expect(try runner.denials("shop/app", "foreign-address") == 6)
      #expect(try runner.denials("shop/app", "no-service") == 5)
      #expect(try runner.denials("shop/app", "no-instance") == 2)
    }
  }

  @Test("UDP: EPERM from connect() and sendto(), on loopback too")
  func udp() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(53)
      for address in ["$WARP_IST_db", "198.18.2.2", "127.0.0.1", "192.0.2.1"] {
        #expect(try app.tell("udp_connect", address, 53) == "EPERM", "\(address)")
        #expect(try app.tell("udp_send", address, 53) == "EPERM", "\(address)")
      }
      #expect(try runner.denials("shop/app", "udp") == 8)
    }
  }

  @Test("Raw, packet, vsock, SCTP, UDP-Lite and ping sockets do not come into being")
  func otherSockets() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      let (stream, datagram, raw) = (1, 2, 3)
      let (inet, packet, vsock) = (2, 17, 40)
      for (family, kind, proto) in [
        (inet, raw, 1), (inet, raw, 6), (inet, raw, 255), (packet, raw, 0x0300),
        (packet, datagram, 0), (vsock, stream, 0), (inet, stream, 132), (inet, 5, 132),
        (inet, datagram, 136), (inet, datagram, 1),
      ] {
        // Which of the walls refuses, and whether the kernel has the protocol at all, may differ.
        let answer = try app.tell("make_socket", family, kind, proto)
        #expect(
          ["EPERM", "EACCES", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"]
            .contains(answer), "\(family) \(kind) \(proto): \(answer)")
      }
      for (family, kind) in [(inet, stream), (inet, datagram), (1, stream)] {
        #expect(try app.tell("make_socket", family, kind, 0) == "made")
      }
    }
  }

  @Test("MPTCP reaches the service, or does not exist; it does not get out")
  func mptcp() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let mptcp = 262
      let answer = try app.tell("connect", "$WARP_IST_db", 3211, mptcp)
      let refusals = ["EPROTONOSUPPORT", "ENOPROTOOPT"]
      #expect(answer == "shop/db at 198.18.2.2" || refusals.contains(answer))
      let outside = try app.tell("connect", "192.0.2.1", 3211, mptcp)
      #expect(outside == "EPERM" || refusals.contains(outside))
    }
  }
}
