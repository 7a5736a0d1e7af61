import CLinux
import Dataplane
import Fabric
import Foundation
import Glibc
import LinuxSystem
import Model
import Synchronization
import TestSupport
import Testing
import TunnelTestSupport

/// connect() to an address that another runner has, with a daemon's decision in the middle: real
/// SYNs through a real switch, without cgroups, tunnels or a registry.
@Suite("A connect to another runner")
struct HeldConnectTests {
  private static let accepted: UInt16 = 80
  private static let refused: UInt16 = 81
  private static let unreachable: UInt16 = 82

  /// Says in Python how connect() to 198.18.2.9 went.
  private static let client = """
    import errno, socket, sys
    for port in map(int, sys.argv[1:]):
        try:
            s = socket.create_connection(("198.18.2.9", port), timeout=5)
            print("connected", s.recv(100).decode())
        except OSError as error:
            print(errno.errorcode.get(error.errno, error))
    """

  /// Decides what the stage's switch holds, and tells the port of each.
  private func hold(_ stage: Stage, _ tell: @escaping @Sendable (UInt16) -> Void) throws
    -> HeldConnects
  {
    try HeldConnects(pinnedIn: stage.directory) { flow, bytes in
      tell(flow.destinationPort)
      try? stage.decide(flow, bytes, Self.accepted, Self.unreachable)
    }
  }

  @Test("It succeeds, is refused, or is unreachable, as the far side says, and is asked once each")
  func outcomes() throws {
    try NamespaceLaboratory.with { laboratory in
      let stage = try Stage(laboratory)
      let asked = Mutex<[UInt16]>([])
      let held = try hold(stage) { port in asked.withLock { $0.append(port) } }
      let reading = HeldReader(held)
      defer { reading.stop() }
      stage.greetCallers()
      defer { stage.stopListening() }
      let ports = [Self.accepted, Self.refused, Self.unreachable, Self.accepted]
      let seen = try laboratory.run(
        in: stage.app, "python3", "-c", Self.client, "80", "81", "82", "80")
      #expect(
        seen.output.split(separator: "\n") == [
          "connected 198.18.2.9:80 from 198.18.1.2", "ECONNREFUSED", "EHOSTUNREACH",
          "connected 198.18.2.9:80 from 198.18.1.2",
        ])
      #expect(asked.withLock { $0 } == ports)
    }
  }

  @Test(
    "While its reader polls, a SYN is there and wakes nobody, and once it does not any more, does")
  func polled() throws {
    try NamespaceLaboratory.with { laboratory in
      let stage = try Stage(laboratory)
      let asked = Mutex<[UInt16]>([])
      let held = try hold(stage) { port in asked.withLock { $0.append(port) } }
      // Edge-triggered, as the relay watches it: told of what wakes it, and not of what is there.
      let epoll = OwnedDescriptor(owning: linux_epoll_create())
      #expect(linux_epoll_watch(epoll.rawValue, held.descriptor, 1, 0) == 0)
      func isWoken(after milliseconds: Int32) -> Bool {
        var event = linux_event()
        return linux_epoll_wait(epoll.rawValue, &event, 1, milliseconds) == 1
      }
      for isPolled in [true, false, true, false] {
        held.setPolled(isPolled)
        let client = try laboratory.start(in: stage.app, "python3", "-c", Self.client, "81")
        #expect(isWoken(after: isPolled ? 300 : 5000) != isPolled)
        #expect(
          eventually {
            held.drain()
            return !asked.withLock { $0 }.isEmpty
          })
        #expect(client.awaitLine() == "ECONNREFUSED")
        asked.withLock { $0 = [] }
      }
    }
  }

  @Test("A segment that comes while its connection is being accepted is not answered with RST")
  func beingAccepted() throws {
    try NamespaceLaboratory.with { laboratory in
      let stage = try Stage(laboratory)
      let enter = ["ip", "netns", "exec", stage.app]
      let answers = try PacketPrograms.capture(on: "ist0", enter: enter)
      func answered() throws -> Int {
        let sent = try PacketPrograms.sendAcknowledgement(
          on: "ist0", from: "198.18.1.2", to: "198.18.2.9",
          gateway: "\(InstanceLink.fabricHardwareAddress)", enter: enter)
        #expect(sent.status == 0, "\(sent.output)")
        return try PacketPrograms.arrived(answers)["tcp"] ?? 0
      }
      let flow = Flow(
        deployment: 1, source: IPv4Address(0xc612_0102), destination: IPv4Address(0xc612_0209),
        sourcePort: 40000, destinationPort: 3211)
      try stage.note(flow, isAccepted: true)
      #expect(try answered() == 0)
      // One of a connection that nobody accepts is.
      try stage.note(flow, isAccepted: false)
      #expect(try answered() == 1)
      // As is each where there is no relay any more, whatever it left.
      try stage.note(flow, isAccepted: true)
      stage.stopListening()
      #expect(try answered() == 2)
    }
  }

  @Test("Without a relay it is refused at once, and nothing is held")
  func alone() throws {
    try NamespaceLaboratory.with { laboratory in
      let stage = try Stage(laboratory)
      stage.stopListening()
      let seen = try laboratory.run(in: stage.app, "python3", "-c", Self.client, "80")
      #expect(seen.output == "ECONNREFUSED\n")
    }
  }
}
