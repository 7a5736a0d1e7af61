import Fabric
import Glibc
import LinuxSystem
import Model
import TestSupport
import Testing

@Suite("The first packet")
struct FirstPacketTests {
  @Test("An instance's very first packet is not lost: it would cost a second to repeat it")
  func firstPacket() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      for number in Int32(0)..<20 {
        let netns = try NetworkNamespace.anonymous()
        let address = fabric.plan.instanceAddress(3, InstanceNumber(number + 2))
        try fabric.attach(
          InstanceLink(name: "first\(number)", ifindex: 71_100 + number, address: address),
          netns: netns)
        let start = ContinuousClock.now
        let code = try netns.perform { connectToNobody() }
        #expect(code == ECONNREFUSED)
        #expect(ContinuousClock.now - start < .milliseconds(500))
      }
    }
  }

  /// The error of connecting to 198.18.9.9:4000 from the calling thread's namespace.
  private func connectToNobody() -> Int32 {
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(client) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(4000).bigEndian
    address.sin_addr.s_addr = IPv4Address(0xc612_0909).networkOrder
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(client, $0, size) }
    }
    return result == 0 ? 0 : errno
  }
}
