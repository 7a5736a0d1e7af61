import CLinux
import Glibc
import TestSupport
import Testing
import TunnelTestSupport

@testable import Relay

/// What a kernel does not offer, BBR or CUBIC, is not tried there.
@Suite("The congestion control of tunnels", .timeLimit(.minutes(10)))
struct TunnelCongestionTests {
  private func name(_ descriptor: Int32) throws -> String {
    var name = [CChar](repeating: 0, count: Int(linux_congestion_name_size))
    try #require(linux_congestion(descriptor, &name) == 0)
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// A listener for which the kernel's default is `standard`.
  private func listener(_ standard: String) throws -> (socket: TestSocket, port: UInt16) {
    let (listener, port) = try TestSocket.listener()
    try #require(linux_set_congestion(listener.descriptor, standard) == 0)
    TunnelCongestion.begin(listener.descriptor)
    return (listener, port)
  }

  @Test("Between near runners it is what it was, but never BBR", arguments: ["reno", "bbr"])
  func near(standard: String) throws {
    guard standard == "reno" || isOffered(standard) else { return }
    let (listener, port) = try listener(standard)
    let program = try TestSocket.connect(port)
    let accepted = try listener.accept()
    try accepted.send([1])
    #expect(try program.receive(1) == [1])
    // However long a busy machine took.
    TunnelCongestion.settle(accepted.descriptor, far: .max)
    #expect(try name(accepted.descriptor) == "reno")
  }

  @Test("Between far ones it is the host's")
  func far() throws {
    let (listener, port) = try listener("reno")
    let (program, accepted) = (try TestSocket.connect(port), try listener.accept())
    #expect(linux_shortest_round_trip(accepted.descriptor) >= 0)
    TunnelCongestion.settle(accepted.descriptor, far: 0)
    let (fresh, _) = try TestSocket.listener()
    #expect(try name(accepted.descriptor) == name(fresh.descriptor))
    _ = program
  }

  @Test("Another one that was chosen stays", arguments: [0, 1_000_000])
  func chosen(far: Int64) throws {
    guard isOffered("cubic") else { return }
    let (listener, port) = try listener("cubic")
    let (program, accepted) = (try TestSocket.connect(port), try listener.accept())
    TunnelCongestion.settle(accepted.descriptor, far: far)
    #expect(try name(accepted.descriptor) == "cubic")
    _ = program
  }

  private func isOffered(_ name: String) -> Bool {
    guard let (socket, _) = try? TestSocket.listener() else { return false }
    return linux_set_congestion(socket.descriptor, name) == 0
  }
}
