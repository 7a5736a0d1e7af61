import Fabric
import Foundation
import LinuxSystem
import Model
import TestSupport
import Testing

@Suite("Listening sockets of a network namespace")
struct TCPListenerTests {
  @Test("Each is found with the address that it is bound to, and what reaches it")
  func all() throws {
    try NamespaceLaboratory.with { laboratory in
      let (name, namespace) = try laboratory.namespace()
      try laboratory.run(in: name, "ip", "link", "set", "lo", "up")
      #expect(try TCPListener.list(in: namespace).isEmpty)
      let program = """
        import socket, sys
        sockets = []
        for port, (host, only6) in enumerate([('0.0.0.0', 0), ('127.0.0.1', 0), ('::', 0), ('::', 1),
                                              ('::1', 0), ('::ffff:127.0.0.1', 0)], 3211):
            made = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
            if ':' in host:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
            made.bind((host, port))
            made.listen()
            sockets.append(made)
        sockets.append(socket.create_connection(('127.0.0.1', 3211)))
        print('listening', flush=True)
        sys.stdin.read()
        """
      let listening = try Conversation(
        ["ip", "netns", "exec", name, "/usr/bin/python3", "-c", program])
      defer { listening.stop() }
      _ = try listening.nextLine()

      let found = try TCPListener.list(in: namespace).sorted { $0.port < $1.port }
      let loopback = IPv4Address(0x7f00_0001)
      #expect(
        found.map(\.reach) == [
          .everywhere(alsoIPv6: false), .ipv4(loopback), .everywhere(alsoIPv6: true), .ipv6("::"),
          .ipv6("::1"), .ipv4(loopback),
        ])
      #expect(found.map(\.port) == Array(3211...3216), "no connection is among them")
      #expect(
        found.map(\.description) == [
          "0.0.0.0:3211", "127.0.0.1:3212", "[::]:3213", "[::]:3214", "[::1]:3215",
          "127.0.0.1:3216",
        ])
      let own = IPv4Address(0xc612_0102)
      #expect(
        found.map { $0.isReached(at: own, over: 7) } == [true, false, true, false, false, false])
      #expect(
        found.map { $0.isReached(at: loopback, over: 1) } == [true, true, true, false, false, true])
      #expect(
        found.map(\.isReachedAtIPv6Loopback) == [false, false, true, true, true, false])
    }
  }
}
