import Fabric
import LinuxSystem
import Model
import TestSupport
import Testing

@Suite("Traffic through the bare fabric, without tc programs", .timeLimit(.minutes(5)))
struct TrafficTests {
  private static let listener = """
    import socket, sys
    server = socket.create_server((sys.argv[1], 4000))
    print('ready', flush=True)
    while True:
      client, address = server.accept()
      client.sendall((address[0] + ' reached ' + client.getsockname()[0]).encode())
      client.close()
    """

  /// Connects in `namespace` and returns what the listener says, or the name of the error.
  private func connect(
    _ laboratory: NamespaceLaboratory, in namespace: String, to address: String
  ) throws -> String {
    let script = """
      import errno, socket, sys
      try:
        print(socket.create_connection((sys.argv[1], 4000), 0.5).recv(100).decode())
      except TimeoutError:
        print('timeout')
      except OSError as error:
        print(errno.errorcode[error.errno])
      """
    let result = try laboratory.run(in: namespace, "python3", "-c", script, address)
    return result.output.split(separator: "\n").joined() + result.errors
  }

  /// Connects from `fabric` to 198.18.2.2 with the address of an instance on another runner.
  private func connectAsRelay(
    _ laboratory: NamespaceLaboratory, _ fabric: FabricNamespace
  ) throws -> String {
    let script = """
      import socket
      client = socket.socket()
      client.setsockopt(socket.SOL_IP, 19, 1) # IP_TRANSPARENT
      client.bind(('198.18.1.9', 0))
      client.settimeout(2)
      client.connect(('198.18.2.2', 4000))
      print(client.recv(100).decode())
      """
    let result = try laboratory.run(in: fabric.name, "python3", "-c", script)
    return result.output + result.errors
  }

  private func instance(
    _ laboratory: NamespaceLaboratory, _ fabric: FabricNamespace, _ number: Int32
  ) throws -> String {
    let (name, netns) = try laboratory.namespace()
    let address = fabric.plan.instanceAddress(ServiceNumber(number), 2)
    try fabric.attach(
      InstanceLink(name: "service\(number).2", ifindex: 71_000 + number, address: address),
      netns: netns)
    return name
  }

  @Test("An address of the range that no instance has refuses connections at once, thanks to AnyIP")
  func refused() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let app = try instance(laboratory, fabric, 1)
      for address in ["198.18.2.1", "198.18.2.2", "198.19.255.254", "198.18.0.1"] {
        #expect(try connect(laboratory, in: app, to: address) == "ECONNREFUSED", "\(address)")
      }
    }
  }

  @Test("A listener in the fabric, as the relay is, is reached at any address, and knows both ends")
  func anyAddress() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let app = try instance(laboratory, fabric, 1)
      let server = try laboratory.start(in: fabric.name, "python3", "-c", Self.listener, "0.0.0.0")
      #expect(server.awaitLine() == "ready")
      #expect(
        try connect(laboratory, in: app, to: "198.18.9.9") == "198.18.1.2 reached 198.18.9.9")
    }
  }

  @Test("The fabric reaches an instance with the address of a remote one, as the relay does")
  func remoteSource() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let database = try instance(laboratory, fabric, 2)
      let server = try laboratory.start(in: database, "python3", "-c", Self.listener, "198.18.2.2")
      #expect(server.awaitLine() == "ready")
      #expect(try connectAsRelay(laboratory, fabric) == "198.18.1.9 reached 198.18.2.2\n")
    }
  }

  @Test("The kernel itself passes nothing from one instance to another: only the switch will")
  func noForwarding() throws {
    try NamespaceLaboratory.with { laboratory in
      let fabric = try laboratory.fabric()
      let app = try instance(laboratory, fabric, 1)
      let database = try instance(laboratory, fabric, 2)
      let server = try laboratory.start(in: database, "python3", "-c", Self.listener, "0.0.0.0")
      #expect(server.awaitLine() == "ready")
      // The listener is there and answers the fabric, so what follows is about forwarding.
      #expect(try connectAsRelay(laboratory, fabric) == "198.18.1.9 reached 198.18.2.2\n")
      #expect(try connect(laboratory, in: app, to: "198.18.2.2") == "timeout")
      // With forwarding it would pass, so the test can tell.
      try laboratory.run(in: fabric.name, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
      #expect(
        try connect(laboratory, in: app, to: "198.18.2.2") == "198.18.1.2 reached 198.18.2.2")
    }
  }

  @Test("Two fabrics with the same addresses know nothing of each other")
  func twoFabrics() throws {
    try NamespaceLaboratory.with { laboratory in
      let (first, second) = (try laboratory.fabric(), try laboratory.fabric())
      let app = try instance(laboratory, first, 1)
      let database = try instance(laboratory, second, 2)
      let server = try laboratory.start(in: database, "python3", "-c", Self.listener, "0.0.0.0")
      #expect(server.awaitLine() == "ready")
      #expect(try connect(laboratory, in: app, to: "198.18.2.2") == "ECONNREFUSED")
    }
  }
}
