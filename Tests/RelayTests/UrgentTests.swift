import CLinux
import Glibc
import LinuxSystem
import Model
import Relay
import Testing
import TunnelTestSupport

@Suite("Urgent bytes", .timeLimit(.minutes(10)))
struct UrgentTests {
  private func sendUrgent(_ text: String, to socket: TestSocket) {
    #expect(send(socket.descriptor, text, text.utf8.count, Int32(MSG_OOB)) == text.utf8.count)
  }

  @Test("One that comes while others wait is neither lost nor taken for an end", arguments: pairs)
  func tunnel(pair: (a: Bool, b: Bool)) throws {
    let laboratory = try RelayLaboratory(
      a: configuration(kernel: pair.a), b: configuration(kernel: pair.b))
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    let service = try listener.accept()
    service.limit(20)
    linux_urgent_inline(service.descriptor)
    for number in 0..<20 {
      try program.send(Array("abc".utf8))
      sendUrgent("U", to: program)
      // At times before and at times after the relay has come to it.
      if number % 2 == 0 { usleep(5000) }
      try program.send(Array("def".utf8))
      #expect(try service.receiveExactly(7) == Array("abcUdef".utf8))
    }
    program.finish()
    #expect(try service.receiveAll().isEmpty)
  }

  @Test("In a pair of sockets it goes on as any other byte")
  func pairOfSockets() throws {
    let relay = try Relay.withoutTunnels()
    defer { relay.shutdown(grace: .zero) }
    let (listener, port) = try TestSocket.listener()
    let (program, near) = try TestSocket.pair()
    let dialing = OwnedDescriptor(owning: linux_tcp_socket(AF_INET))
    relay.pair(
      OwnedDescriptor(owning: near),
      with: DialInstruction(
        socket: dialing, destination: IPv4Address(0x7f00_0001),
        port: try PortNumber(Int(port))),
      timeout: .seconds(10)
    ) { _, errno in Issue.record("it was not connected: \(errno)") }
    let service = try listener.accept()
    service.limit(20)
    for number in 0..<20 {
      sendUrgent("U", to: program)
      if number % 2 == 0 { usleep(5000) }
      try program.send(Array("def".utf8))
      #expect(try service.receiveExactly(4) == Array("Udef".utf8))
      try service.send(Array("more".utf8))
      #expect(try program.receiveExactly(4) == Array("more".utf8))
    }
    program.finish()
    #expect(try service.receiveAll().isEmpty)
  }
}
