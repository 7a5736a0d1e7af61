import CLinux
import Dispatch
import Foundation
import LinuxSystem
import Model
import Synchronization
import SystemPackage
import Testing
import TunnelTestSupport

@testable import Relay

/// Connections that a relay makes to outside, and joins with programs' sockets.
@Suite("Connections to outside", .timeLimit(.minutes(10)))
struct OutsideTests {
  /// A relay without tunnels, which connects to a listener on loopback.
  fileprivate final class Stage {
    let relay: Relay
    let listener: TestSocket
    let port: UInt16
    let ended = Count()

    init() throws {
      relay = try Relay.withoutTunnels()
      (listener, port) = try TestSocket.listener()
    }

    deinit { relay.shutdown(grace: .zero) }

    func dial(
      _ address: IPv4Address = IPv4Address(0x7f00_0001), _ port: UInt16? = nil,
      isWanted: @escaping @Sendable () -> Bool = { true }
    ) throws -> Result<RelayConnection, Errno> {
      let done = DispatchSemaphore(value: 0)
      let outcome = Mutex<Result<RelayConnection, Errno>?>(nil)
      relay.dial(
        address, port: try PortNumber(Int(port ?? self.port)), timeout: .seconds(30),
        isWanted: isWanted
      ) { result in
        outcome.withLock { $0 = result }
        done.signal()
      }
      done.wait()
      return try #require(outcome.withLock { $0 })
    }

    /// A program's socket and the one of the host outside, joined.
    func connection() throws -> (program: TestSocket, world: TestSocket) {
      let connection = try dial().get()
      let world = try listener.accept()
      let (program, local) = try TestSocket.pair()
      relay.join(
        OwnedDescriptor(owning: local), to: connection, of: try DeploymentName("shop"), holder: 7
      ) { [ended] in ended.raise() }
      for socket in [program, world] { socket.limit(20) }
      return (program, world)
    }
  }

  @Test("Each direction ends by itself, with all that was sent")
  func halfClose() throws {
    let stage = try Stage()
    let (program, world) = try stage.connection()
    let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) }
    let writer = Thread {
      try? program.send(bytes); program.finish()
    }
    writer.start()
    #expect(try world.receiveAll() == bytes)
    let back = Thread {
      try? world.send(bytes); world.finish()
    }
    back.start()
    #expect(try program.receiveAll() == bytes)
    #expect(eventually { stage.ended.value == 1 })
  }

  @Test("A reset is carried both ways, behind what came before it", arguments: [true, false])
  func reset(byWorld: Bool) throws {
    let stage = try Stage()
    var (program, world): (TestSocket?, TestSocket?) = try stage.connection()
    let bytes = [UInt8](repeating: 7, count: 60_000)
    let other = try #require(byWorld ? program : world)
    try (byWorld ? world : program)?.send(bytes)
    // A reset throws away what its own kernel has not sent yet.
    usleep(50_000)
    (byWorld ? world : program)?.resetOnClose()
    if byWorld { world = nil } else { program = nil }
    #expect(try other.receiveExactly(bytes.count) == bytes)
    #expect(other.ending() == .connectionReset)
    #expect(eventually { stage.ended.value == 1 })
  }

  @Test("An answer is read, then the reset, though its writer closed with an upload unread")
  func unreadUpload() throws {
    let stage = try Stage()
    for _ in 0..<40 {
      var (program, world): (TestSocket, TestSocket?) = try stage.connection()
      let writer = Thread { [program] in try? program.send([UInt8](repeating: 1, count: 2_000_000))
      }
      writer.start()
      _ = try world?.receive(10)
      try world?.awaitBytes()
      try world?.send(Array("413".utf8))
      world = nil
      #expect(try program.receiveExactly(3) == Array("413".utf8))
      #expect(program.ending() == .connectionReset)
    }
  }

  @Test("What is sent to a program that has closed its socket is answered with a reset")
  func closed() throws {
    let stage = try Stage()
    var (program, world): (TestSocket?, TestSocket) = try stage.connection()
    program?.finish()
    #expect(try world.receiveAll().isEmpty)
    program = nil
    // What came from it has ended already, so that reading tells of no reset.
    #expect(eventually { (try? world.send([1, 2, 3])) == nil })
    #expect(eventually { stage.ended.value == 1 })
  }

  @Test("An urgent byte stays urgent")
  func urgent() throws {
    let stage = try Stage()
    let (program, world) = try stage.connection()
    try program.send(Array("abc".utf8))
    #expect(linux_send_urgent(program.descriptor, 33) == 1)
    #expect(try world.receiveExactly(3) == Array("abc".utf8))
    var byte: UInt8 = 0
    #expect(eventually { recv(world.descriptor, &byte, 1, Int32(MSG_OOB)) == 1 })
    #expect(byte == 33)
    try program.send(Array("def".utf8))
    #expect(try world.receiveExactly(3) == Array("def".utf8))
  }

  @Test("What refuses is told with its errno, and so is one that nobody waits for")
  func refused() throws {
    let stage = try Stage()
    let closed = try TestSocket.listener().port
    func errno(_ result: Result<RelayConnection, Errno>) -> Errno? {
      if case .failure(let errno) = result { errno } else { nil }
    }
    #expect(errno(try stage.dial(port: closed)) == .connectionRefused)
    // Multicast has no TCP.
    #expect(errno(try stage.dial(IPv4Address(0xe000_0001))) == .networkUnreachable)
    // A listener whose queue is full answers no SYN.
    let (full, port) = try TestSocket.listener()
    #expect(listen(full.descriptor, 0) == 0)
    let waiting = try (0..<1).map { _ in try TestSocket.connect(port) }
    let asked = Count()
    let begun = ContinuousClock.now
    let result = try stage.dial(port: port) {
      asked.raise()
      return asked.value < 2
    }
    #expect(errno(result) == .timedOut)
    #expect(.now - begun < .seconds(10) && waiting.count == 1)
  }

  @Test("One that is let go is reset, and one that is joined when the relay ends, too")
  func letGo() throws {
    var stage: Stage? = try Stage()
    do { _ = try stage?.dial().get() }
    let world = try #require(try stage?.listener.accept())
    world.limit(20)
    #expect(world.ending() == .connectionReset)
    let joined = try stage?.connection()
    stage = nil
    #expect(joined?.program.ending() == .connectionReset)
    #expect(joined?.world.ending() == .connectionReset)
  }
}

extension OutsideTests.Stage {
  fileprivate func dial(
    port: UInt16, isWanted: @escaping @Sendable () -> Bool = { true }
  ) throws -> Result<RelayConnection, Errno> {
    try dial(IPv4Address(0x7f00_0001), port, isWanted: isWanted)
  }
}

/// A number that any thread may raise.
private final class Count: Sendable {
  private let number = Mutex(0)
  var value: Int { number.withLock { $0 } }
  func raise() { number.withLock { $0 += 1 } }
}
