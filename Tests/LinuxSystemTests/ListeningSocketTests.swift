import Glibc
import Testing

@testable import LinuxSystem

@Suite("Listening sockets of a namespace")
struct ListeningSocketTests {
  private static let rest = "00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 1"

  @Test(
    "A line of /proc/net/tcp and tcp6 says where the socket can be reached",
    arguments: [
      ("00000000:0C8B", ListeningSocket.Reach.everywhere), ("0100007F:0C8B", .loopback),
      ("0202C612:0C8B", .address(0x12c6_0202)), ("020212C6:0C8B", .address(0xc612_0202)),
      ("00000000000000000000000000000000:0C8B", .everywhere),
      ("00000000000000000000000001000000:0C8B", .loopback),
      ("0000000000000000FFFF00000100007F:0C8B", .loopback),
      ("0000000000000000FFFF0000020212C6:0C8B", .address(0xc612_0202)),
      ("B80D0120000000000000000001000000:0C8B", .ipv6),
    ])
  func reach(local: String, reach: ListeningSocket.Reach) throws {
    let socket = try #require(ListeningSocket(line: "   0: \(local) \(Self.rest)"))
    #expect(socket.reach == reach && socket.port == 3211)
  }

  @Test("Connections and nonsense are no listening sockets")
  func others() {
    for line in ["", "sl local", "0: 0100007F:0C8B 0100007F:9C40 01 0", "0: x:y \(Self.rest)"] {
      #expect(ListeningSocket(line: line) == nil, "\(line)")
    }
  }

  @Test("A socket that this process makes to listen is found")
  func own() throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    #expect(Glibc.listen(descriptor, 1) == 0)
    var address = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
    }
    let port = UInt16(bigEndian: address.sin_port)
    let found = try ListeningSocket.all(inNamespaceOf: getpid())
    #expect(found.contains { $0.port == port && $0.reach == .everywhere })
    #expect(throws: SystemError.self) { try ListeningSocket.all(inNamespaceOf: -1) }
  }
}
