import Foundation
import TestSupport
import Testing

@Suite("Who is denied something, and why, is shown as it happens", .timeLimit(.minutes(10)))
struct ObserveDenialTests {
  @Test("Denied calls show with process, destination and reason, and others not")
  func calls() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let observed = try runner.observe("--denied")
      #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      let (inet, datagram, udplite) = (2, 2, 136)
      for (attempt, destination, port, networkProtocol, reason) in [
        (["connect", "192.0.2.1"], "192.0.2.1", 80, "tcp", "foreign-address"),
        (["connect", "::ffff:192.0.2.1"], "192.0.2.1", 80, "tcp", "foreign-address"),
        (["connect", "2001:db8::1"], "2001:db8::1", 80, "tcp", "ipv6"),
        (["connect", "198.18.9.1"], "198.18.9.1", 80, "tcp", "no-service"),
        (["connect", "198.18.2.77"], "198.18.2.77", 80, "tcp", "no-instance"),
        (["udp_send", "192.0.2.1"], "192.0.2.1", 80, "udp", "udp"),
        (["udp_send", "::1"], "::1", 80, "udp", "udp"),
        (["udp_connect", "127.0.0.1"], "127.0.0.1", 80, "udp", "udp"),
      ] as [([String], String, Int, String, String)] {
        let answer = try app.tell(attempt[0], attempt[1], port)
        let event = try observed.next()
        #expect(event.event == "denied" && event.reason == reason, "\(attempt): \(answer)")
        #expect(event.source?.name == "shop/app.2" && event.source?.address == "198.18.1.2")
        #expect(event.destination?.address == destination, "\(attempt)")
        #expect(event.destination?.port == UInt16(port), "\(attempt)")
        #expect(event.protocol == networkProtocol, "\(attempt)")
        #expect(event.pid == app.processID && event.command == "python3", "\(attempt)")
        #expect(event.time?.isEmpty == false)
      }
      // Where the kernel has UDP-Lite, the socket is refused; else there is nothing to deny.
      if try app.tell("make_socket", inet, datagram, udplite) == "EPERM" {
        let event = try observed.next()
        #expect(event.reason == "socket-type" && event.protocol == "udplite")
        #expect(event.destination == nil && event.pid == app.processID)
      }
      #expect(observed.rest(patience: 0.5).isEmpty)
    }
  }

  @Test("Packets of a socket that met no other hook show, and so do frames on ist0")
  func packets() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let app = try runner.instance(of: "shop/app")
      let observed = try runner.observe("--denied")
      // A socket that is older than its process's place in the cgroup meets no hook but this one.
      let cgroup = try #require(try runner.listedInstances().first?.cgroup)
      let script = """
        import os, socket, sys
        udp = socket.socket(type=socket.SOCK_DGRAM)
        open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))
        udp.sendto(b'x', ('198.18.2.2', 3211))
        """
      try run(PacketPrograms.enter(app.processID) + ["/usr/bin/python3", "-c", script, cgroup])
      let frame = try observed.next("denied")
      #expect(frame.reason == "frame-not-tcp" || frame.reason == "foreign-packet")
      let udp = try frame.reason == "frame-not-tcp" ? frame : observed.next("denied")
      #expect(udp.protocol == "udp" && udp.destination?.address == "198.18.2.2")
      #expect(udp.destination?.port == 3211 && udp.source?.name == "shop/app.2")
    }
  }

  @Test("Who tries to get in over another interface shows, whether or not somebody listens there")
  func inbound() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try app.listen(8080)
      let world = try runner.addInterface(to: app)
      // Until the interface is up.
      #expect(
        try runner.eventually {
          try runner.laboratory.run(in: world, "nc", "-z", "-w", "1", "10.9.9.2", "9").errors
            .isEmpty && runner.denials("shop/app", "inbound") > 0
        })
      let observed = try runner.observe("--denied", "-s", "app")
      let before = try runner.denials("shop/app", "inbound")
      for (port, isUDP) in [(8080, false), (8081, false), (53, true)] {
        let options = isUDP ? ["-u", "-w", "1"] : ["-z", "-w", "1"]
        _ = try run(
          ["ip", "netns", "exec", world, "sh", "-c"]
            + ["echo x | nc \(options.joined(separator: " ")) 10.9.9.2 \(port)"])
        let event = try observed.next("denied")
        #expect(event.reason == "inbound" && event.protocol == (isUDP ? "udp" : "tcp"))
        #expect(event.source?.address == "10.9.9.1" && (event.source?.port ?? 0) > 0)
        #expect(event.destination?.name == "shop/app.2")
        #expect(event.destination?.port == UInt16(port) && event.pid == nil)
      }
      #expect(try runner.denials("shop/app", "inbound") >= before + 3)
      #expect(try runner.denials("-/-", "inbound") == 0, "all of it is somebody's")
      #expect(try runner.istbpf("status").output.contains("inbound="))

      // A daemon that starts attaches its own program, and it is told likewise.
      runner.killDaemon()
      try runner.startDaemon()
      let again = try runner.observe("--denied")
      _ = try runner.laboratory.run(in: world, "nc", "-z", "-w", "1", "10.9.9.2", "8082")
      #expect(try again.next("denied").destination?.name == "shop/app.2")
      // Over ist0 everything is as it was.
      #expect(try db.connect("$WARP_IST_app", 8080) == "shop/app at 198.18.1.2")
    }
  }

  @Test("A flood of denials is bounded, what is left out is told, and all of it is counted")
  func flood() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "hostile")
      let (app, hostile) = (
        try runner.instance(of: "shop/app"), try runner.instance(of: "shop/hostile")
      )
      let observed = try runner.observe("--denied")
      let total = 20_000
      let begin = Date()
      #expect(try hostile.tell("flood", "192.0.2.1", 80, total) == "{\"EPERM\": \(total)}")
      let seconds = Date().timeIntervalSince(begin)
      // Another instance's denials are told all the same.
      #expect(try app.connect("192.0.2.9", 81) == "EPERM")
      let events = observed.rest()
      let told = events.filter { $0.event == "denied" && $0.source?.name == "shop/hostile.2" }.count
      let untold = events.filter { $0.event == "untold" }
      #expect(told >= 256 && told <= 256 + Int(64 * (seconds + 1)), "\(told) in \(seconds) s")
      #expect(untold.allSatisfy { $0.instance == "shop/hostile.2" })
      #expect(told + untold.compactMap(\.denials).reduce(0, +) == total)
      #expect(events.contains { $0.destination?.address == "192.0.2.9" })
      #expect(try runner.denials("shop/hostile", "foreign-address") == total)
      let log = runner.daemon?.log.split(separator: "\n").count ?? 0
      #expect(log < 20, "the daemon's log is not flooded")
    }
  }

  @Test("Counters go on through a restart of the daemon, and while there is none")
  func counters() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let app = try runner.instance(of: "shop/app")
      for _ in 0..<3 { #expect(try app.connect("192.0.2.1", 80) == "EPERM") }
      #expect(try app.tell("udp_send", "192.0.2.1", 53) == "EPERM")
      runner.killDaemon()
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
      try runner.startDaemon()
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
      #expect(try runner.denials("shop/app", "foreign-address") == 5)
      #expect(try runner.denials("shop/app", "udp") == 1)
      #expect(try runner.istbpf("status").output.contains("foreign-address=5 udp=1"))
    }
  }
}
