import Foundation
import TestSupport
import Testing

@testable import Fabric

@Suite("The fabric's gateway", .timeLimit(.minutes(10)))
struct GatewayTests {
  @Test("An instance answers the gateway's connections, and can open none to it")
  func oneWay() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      try app.listen(8080)
      #expect(try app.connect("198.18.0.1", 8080) == "EHOSTUNREACH")

      // A listening socket of the gateway's own, as the relay has one, and a connection that it makes.
      let fabric = "\(runner.installation.fabricPrefix)shop"
      let program = """
        import socket
        def own(port):
            made = socket.socket()
            made.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT
            made.bind(("198.18.0.1", port))
            return made
        listener = own(15001)
        listener.listen()
        client = own(40001)
        client.connect(("198.18.1.2", 8080))
        print(client.recv(100).decode(), end="", flush=True)
        listener.settimeout(3)
        try:
            listener.accept()
            print("accepted", flush=True)
        except TimeoutError:
            print("nobody came", flush=True)
        """
      let gateway = try Conversation([
        "ip", "netns", "exec", fabric, "/usr/bin/python3", "-c", program,
      ])
      runner.laboratory.atEnd { gateway.stop() }
      #expect(try gateway.nextLine() == "shop/app at 198.18.1.2")
      // Past the hooks: packet sockets in the instance's namespace.
      let before = try runner.denials("shop/app", "frame-reserved")
      let sent = try PacketPrograms.sendToGateway(
        on: "ist0", from: "198.18.1.2", gateway: "02:69:73:74:00:01",
        enter: PacketPrograms.enter(app.processID))
      #expect(sent.status == 0, "\(sent.errors)")
      #expect(try gateway.nextLine() == "nobody came")
      // Or more, where the end of the first connection was sent again after its socket had gone.
      #expect(try runner.denials("shop/app", "frame-reserved") >= before + 4)
    }
  }
}
