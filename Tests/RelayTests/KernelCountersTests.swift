import Relay
import TestSupport
import Testing
import Tunnel
import TunnelTestSupport

/// Not what the relay says of itself, but what the kernel does, in a namespace that nobody else uses.
@Suite("The kernel's account of tunnels", .timeLimit(.minutes(10)))
struct KernelCountersTests {
  @Test(
    "/proc/net/tls_stat shows that the kernel encrypts and decrypts both directions where it has TLS, and neither where it may not",
    arguments: [true, false])
  func account(mayUseKernel: Bool) throws {
    try NamespaceLaboratory.with { laboratory in
      let (name, namespace) = try laboratory.namespace()
      try laboratory.run(in: name, "ip", "link", "set", "lo", "up")
      let usesKernel = mayUseKernel && KernelTLS.probe() == .available
      let relays = try RelayLaboratory(
        a: configuration(kernel: mayUseKernel), b: configuration(kernel: mayUseKernel),
        namespaces: (namespace, namespace))
      defer { relays.stop() }
      let (listener, port) = try namespace.perform { try TestSocket.listener() }
      let program = try relays.connect(port)
      let service = try listener.accept()
      try program.send([1])
      #expect(try service.receiveExactly(1) == [1])

      // Tunnels that are made ahead may come and go while this looks.
      let enter = ["nsenter", "--net=/run/netns/\(name)"]
      var (tunnels, inKernel, open) = (0, 0, [Int?]())
      let agrees = try eventually(2) {
        (tunnels, inKernel) = (relays.a.counters.tunnelsLive, relays.a.counters.tunnelsKernel)
        let counters = try TLSCounters(by: enter)
        open = [counters?["TlsCurrTxSw"], counters?["TlsCurrRxSw"]]
        // Both ends of each tunnel are in this namespace.
        let expected = usesKernel ? 2 * tunnels : 0
        return tunnels > 0 && inKernel == (usesKernel ? tunnels : 0)
          && open.allSatisfy { $0 ?? 0 == expected }
      }
      #expect(agrees, "\(tunnels) tunnels, \(inKernel) in the kernel, which has \(open)")

      let size = Transfer.size(mebibytes: 4)
      try concurrently(
        { try Transfer.send(size, seed: 1, to: program) },
        { try Transfer.send(size, seed: 2, to: service) },
        { try Transfer.expect(size, seed: 1, from: service) },
        { try Transfer.expect(size, seed: 2, from: program) })

      let counters = try TLSCounters(by: enter)
      #expect(counters != nil || !usesKernel, "there is no tls_stat, yet the kernel has TLS")
      #expect(counters?["TlsDecryptError"] ?? 0 == 0)
      #expect(counters?["TlsTxSw"] ?? 0 >= (usesKernel ? 2 : 0))
      #expect(counters?["TlsRxSw"] ?? 0 >= (usesKernel ? 2 : 0))
    }
  }
}
