import Fabric
import LinuxSystem
import Model
import TestSupport
import Testing

@Suite("Traffic of a network namespace's connections")
struct TCPTrafficTests {
  @Test("Connections of sockets of both families are found once each, with what passed over them")
  func bothFamilies() throws {
    try NamespaceLaboratory.with { laboratory in
      let (name, namespace) = try laboratory.namespace()
      try laboratory.run(in: name, "ip", "link", "set", "lo", "up")
      let program = """
        import socket, sys
        server = socket.create_server(('127.0.0.1', 3211))
        ends = []
        for family, host, size in [(socket.AF_INET, '127.0.0.1', 5), (socket.AF_INET6, '::ffff:127.0.0.1', 7)]:
            client = socket.socket(family)
            client.connect((host, 3211))
            client.sendall(b'x' * size)
            accepted, _ = server.accept()
            accepted.recv(size, socket.MSG_WAITALL)
            ends += [client, accepted]
        past = socket.create_connection(('127.0.0.1', 3211))
        past.close()
        print('connected', flush=True)
        sys.stdin.read()
        """
      let connected = try Conversation(
        ["ip", "netns", "exec", name, "/usr/bin/python3", "-c", program])
      defer { connected.stop() }
      _ = try connected.nextLine()

      let found = try TCPTraffic.list(in: namespace)
      let callers = found.filter { $0.localPort != 3211 }
      // A SYN counts as one; the one that has ended at this end is not among them.
      #expect(
        callers.filter { $0.acknowledged > 1 }.map(\.acknowledged).sorted() == [6, 8], "\(found)")
      let received = found.filter { $0.localPort == 3211 }.map { $0.received }
      #expect(received.sorted().suffix(2) == [5, 7], "\(received)")
      #expect(found.allSatisfy { $0.connection.peer.isLoopback })
    }
  }
}
