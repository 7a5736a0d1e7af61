import TestSupport
import Testing

@Suite("Nobody else reaches a deployment", .timeLimit(.minutes(10)))
struct NeighbourTests {
  @Test("The same address and port are another service's in a second deployment, or nobody's")
  func secondDeployment() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      try runner.deploy("other", "app", "db")
      try runner.deploy("third", "app")
      let db = try runner.instance(of: "shop/db")
      try db.listen(3211)
      let (other, third) = (
        try runner.instance(of: "other/app"), try runner.instance(of: "third/app")
      )
      #expect(try other.connect("198.18.2.1", 3211) == "ECONNREFUSED")
      #expect(try other.connect("198.18.2.2", 3211) == "ECONNREFUSED")
      #expect(try third.connect("198.18.2.1", 3211) == "EHOSTUNREACH")
      let otherDB = try runner.instance(of: "other/db")
      try otherDB.listen(3211)
      for address in ["198.18.2.1", "198.18.2.2"] {
        #expect(try other.connect(address, 3211) == "other/db at 198.18.2.2")
      }
      #expect(
        try runner.instance(of: "shop/app").connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2"
      )
    }
  }

  @Test("The host has no way in, although it could enter the namespaces")
  func host() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      try runner.instance(of: "shop/db").listen(3211)
      // What answers there instead is the network's affair: some have a proxy that takes anything.
      for address in ["198.18.2.1", "198.18.2.2"] {
        #expect(try !run("nc", "-w", "1", address, "3211").output.contains("shop/db"), "\(address)")
      }
      let db = try #require(try runner.listedInstances().first)
      let process = try #require(db.pids.first)
      let command = ["nc", "-w", "1", "198.18.2.2", "3211"]
      #expect(try run(PacketPrograms.enter(process) + command).output == "")
      // The same command does reach it where there is a way, so it can tell.
      let inside = try run(PacketPrograms.enter(process, cgroup: db.cgroup) + command)
      #expect(inside.output == "shop/db at 198.18.2.2\n")
    }
  }

  @Test("Another interface of the container is no way out and no way in")
  func otherInterface() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      try app.listen(8080)
      let world = try runner.addInterface(to: app)
      let listener = try runner.laboratory.start(in: world, "nc", "-lk", "10.9.9.1", "80")
      let enter = PacketPrograms.enter(app.processID)
      let reachesOut = enter + ["nc", "-z", "-w", "1", "10.9.9.1", "80"]
      #expect(try runner.eventually { try run(reachesOut).status == 0 }, "a way, but for the walls")
      let capture = try PacketPrograms.capture(
        on: "world0", enter: ["ip", "netns", "exec", world])

      #expect(try app.connect("10.9.9.1", 80) == "EPERM")
      #expect(try app.tell("udp_send", "10.9.9.1", 53) == "EPERM")
      #expect(try PacketPrograms.arrived(capture)["tcp"] == nil)
      // Refused by an RST, as at a port where nobody listens.
      let inward = try runner.laboratory.run(in: world, "nc", "-z", "-w", "1", "10.9.9.2", "8080")
      #expect(inward.status != 0)
      #expect(try PacketPrograms.arrived(capture)["udp"] == nil)
      #expect(try runner.denials("shop/app", "inbound") > 0)

      #expect(try run(reachesOut).status == 0)
      #expect(try PacketPrograms.arrived(capture)["tcp"] ?? 0 > 0, "the capture sees what passes")
      listener.stop()
    }
  }

  @Test("A socket from before its process was in the cgroup is bounded by the fabric")
  func olderSocket() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let cgroup = try #require(try runner.listedInstances().first?.cgroup)
      let script = """
        import errno, os, socket, sys
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))
        udp.sendto(b'x', ('198.18.2.2', 3211))
        tcp.settimeout(1)
        print(errno.errorcode[tcp.connect_ex(('192.0.2.1', 80))])
        """
      let capture = try PacketPrograms.capture(
        on: "ist0", enter: PacketPrograms.enter(db.processID))
      let result = try run(
        PacketPrograms.enter(app.processID) + ["/usr/bin/python3", "-c", script, cgroup])
      #expect(result.output == "ENETUNREACH\n", "\(result.errors)")
      let reasons = try runner.inspect("denials").map { $0["reason"] ?? "" }
      #expect(reasons == ["frame-not-tcp"])
      #expect(try PacketPrograms.arrived(capture) == [:])
    }
  }

  @Test("Of frames from packet sockets only an instance's own TCP passes, and the rest is counted")
  func frames() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db"))
      try db.listen(3211)
      let enter = PacketPrograms.enter(app.processID)
      let neighbours = try run(enter + ["ip", "neigh", "show", "dev", "ist0"]).output
        .split(separator: " ")
      let gateway = String(
        try #require(neighbours.firstIndex(of: "lladdr").map { neighbours[$0 + 1] }))
      let capture = try PacketPrograms.capture(
        on: "ist0", enter: PacketPrograms.enter(db.processID))
      let cgroup = try #require(
        try runner.listedInstances().first { $0.pids.contains(app.processID) }
      ).cgroup
      let sent = try PacketPrograms.send(
        on: "ist0", from: "198.18.1.2", to: "198.18.2.2", gateway: gateway,
        enter: PacketPrograms.enter(app.processID, cgroup: cgroup))
      #expect(sent.status == 0, "\(sent.errors)")

      let arrived = try PacketPrograms.arrived(capture)
      #expect(Set(arrived.keys) == ["tcp"] && arrived["tcp"] ?? 9 <= 2, "the SYN: \(arrived)")
      let counts = Dictionary(
        uniqueKeysWithValues: try runner.inspect("denials").map {
          ($0["reason"] ?? "", $0["count"] ?? "")
        })
      #expect(
        counts == [
          "frame-not-tcp": "2", "frame-spoofed": "1", "frame-foreign": "1", "frame-reserved": "1",
          "frame-fragment": "1", "frame-malformed": "1", "frame-not-ipv4": "2", "frame-vlan": "1",
        ])
    }
  }
}
