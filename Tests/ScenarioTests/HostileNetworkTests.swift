import Glibc
import LinuxSystem
import Model
import TestSupport
import Testing

@testable import ServiceLog

/// What anybody can send to a runner's tunnel port.
@Suite("A daemon whose tunnel port is attacked", .timeLimit(.minutes(10)))
struct HostileNetworkTests {
  /// So many connections to runner 2's tunnel port, each of which sends garbage and is left.
  private func flood(_ cluster: ClusterLaboratory, _ count: Int) throws {
    let program = """
      import os, socket
      for number in range(\(count)):
          s = socket.create_connection(("\(ClusterWire.address(2))", 7443), timeout=10)
          s.sendall(os.urandom(200))
          s.close()
      """
    let result = try run(cluster.enter(1) + ["python3", "-c", program])
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test("3,000 connections of garbage: connections go on, and the log stays short")
  func garbage() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      let before = cluster[2].daemon?.log.count ?? 0
      try flood(cluster, 3000)
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      #expect(cluster[2].logs("incoming tunnel failed: no tunnel with \(ClusterWire.address(1))"))
      let log = cluster[2].daemon?.log.dropFirst(before) ?? ""
      #expect(log.count < 50_000, "\(log.count) bytes")
    }
  }

  @Test("With few descriptors the daemon says for how many connections, and refuses the others")
  func fewDescriptors() async throws {
    try await ClusterLaboratory.with { cluster in
      cluster[2].killAll()
      // Without CAP_SYS_RESOURCE, which would let it have more.
      let capability = "-sys_resource"
      try cluster[2].startDaemon(wrapper: [
        "prlimit", "--nofile=700:700", "setpriv", "--bounding-set", capability, "--inh-caps",
        capability,
      ])
      #expect(cluster[2].logs("at once, not 32768: istbpf-relay may have 700"))
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      // Whoever connects and says nothing takes descriptors, until the handshakes' share is used.
      let hold = """
        import socket, time
        held = [socket.create_connection(("\(ClusterWire.address(2))", 7443)) for _ in range(1500)]
        print("held", flush=True)
        time.sleep(60)
        """
      let holder = try Conversation(cluster.enter(1) + ["python3", "-c", hold])
      defer { holder.stop() }
      #expect(holder.awaitLine() == "held")
      #expect(try app.tell("wait", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
    }
  }

  @Test("A statement logs 20 lines at once and 10 a minute after that, and says what it left out")
  func budget() {
    let budget = LogBudget()
    let (place, start) = (LogBudget.Place(file: "a", line: 1), ContinuousClock.now)
    let first = (0..<1000).map { _ in budget.spend(at: place, now: start) }
    #expect(first.prefix(20).allSatisfy { $0 == 0 })
    #expect(first.dropFirst(20).allSatisfy { $0 == nil })
    #expect(budget.spend(at: LogBudget.Place(file: "a", line: 2), now: start) == 0)
    #expect(budget.spend(at: place, now: start + .seconds(61)) == 980)
    let minute = (0..<1000).map { _ in budget.spend(at: place, now: start + .seconds(61)) }
    #expect(minute.count { $0 != nil } == 9)
    let later = (0..<1000).map { _ in budget.spend(at: place, now: start + .seconds(6000)) }
    #expect(later.count { $0 != nil } == 20)
  }
}
