import CLinux
import Glibc
import LinuxSystem
import Model
import Testing
import TunnelTestSupport

@testable import Tunnel

/// Further tunnels of runners that know each other from an earlier one.
@Suite("Handshakes with pre-shared keys", .timeLimit(.minutes(10)))
struct PreSharedKeyTests {
  private let authority: TestAuthority
  private let server: TunnelIdentities
  private let client: TunnelIdentities

  init() throws {
    authority = try TestAuthority()
    server = TunnelIdentities(try authority.identity("server", serial: 0x51))
    client = TunnelIdentities(try authority.identity("client", serial: 0xc1))
  }

  /// Whether the handshake was made with a key; fails where there was none, or the ends do not agree.
  private func isResumed(
    client: TunnelIdentities? = nil, server: TunnelIdentities? = nil
  ) throws -> Bool {
    let (near, far) = try HandshakePair.run(
      client: client ?? self.client, server: server ?? self.server)
    let (a, b) = (
      try #require(near.channel, "\(near), \(far)"), try #require(far.channel, "\(near), \(far)")
    )
    #expect(a.peer.runner.name == "server" && b.peer.runner.name == "client")
    #expect(a.isResumed == b.isResumed)
    for (from, to) in [(a, b), (b, a)] {
      #expect(from.append([1, 2, 3]) && from.flush() == .done)
      var (bytes, count) = ([UInt8](repeating: 0, count: 4), 0)
      for _ in 0..<100 where count == 0 {
        if case .bytes(let received) = to.receive(into: &bytes, 4) { count = received }
      }
      #expect(bytes.prefix(count) == [1, 2, 3])
    }
    return a.isResumed
  }

  @Test("The first tunnel is made with certificates, further ones without")
  func further() throws {
    #expect(try !isResumed())
    #expect(client.knows(try runner("server")))
    for _ in 0..<3 { #expect(try isResumed()) }
    // In the other direction they have not met.
    #expect(!server.knows(try runner("client")))
    let (near, far) = try HandshakePair.run(client: server, server: client, expected: "client")
    #expect(near.channel?.isResumed == false && far.channel?.isResumed == false)
  }

  private func runner(_ name: String) throws -> RunnerIdentifier {
    try #require(RunnerIdentifier(cluster: "test", name: name))
  }

  @Test("A runner that is revoked is not admitted by a key either, at either end")
  func revoked() throws {
    for (end, serial, isServer) in [(server, "C1", true), (client, "51", false)] {
      #expect(try !isResumed())
      #expect(try isResumed())
      end.deny([try #require(CertificateSerial(serial))])
      let (near, far) = try HandshakePair.run(client: client, server: server)
      #expect((isServer ? far : near).error?.kind == .revoked)
      #expect(near.channel == nil || isServer)
      end.deny([])
    }
  }

  @Test("One that is revoked while a handshake with a key is under way is not admitted")
  func revokedMidway() throws {
    #expect(try !isResumed())
    let serial = try #require(CertificateSerial("C1"))
    let far = try HandshakePair.run(client: client, server: server) { server.deny([serial]) }.server
    #expect(far.error != nil)
    server.deny([])
    #expect(try !isResumed())
    let other = try #require(CertificateSerial("51"))
    // The client has sent its first message, and not read the answer.
    let near = try HandshakePair.run(client: client, server: server) { client.deny([other]) }.client
    #expect(near.error != nil)
  }

  @Test("After a rotation of either end's identity certificates are shown again")
  func rotated() throws {
    #expect(try !isResumed())
    client.rotate(to: try authority.identity("client", serial: 0xc2))
    #expect(try !isResumed())
    #expect(try isResumed())
    server.rotate(to: try authority.identity("server", serial: 0x52))
    #expect(try !isResumed())
    #expect(try isResumed())
  }

  @Test("A runner that has begun anew has certificates shown, and so has one of an earlier version")
  func forgotten() throws {
    #expect(try !isResumed())
    let anew = TunnelIdentities(server.current)
    #expect(try !isResumed(server: anew))
    #expect(try isResumed(server: anew))
    let earlier = (
      client: TunnelIdentities(client.current, usesPreSharedKeys: false),
      server: TunnelIdentities(server.current, usesPreSharedKeys: false)
    )
    for _ in 0..<2 {
      #expect(try !isResumed(client: earlier.client))
      #expect(try !isResumed(server: earlier.server))
    }
  }

  @Test("A key is good for as long as the certificates are, and for an hour")
  func ends() throws {
    let brief = TunnelIdentities(try authority.identity("client", to: 4))
    #expect(try !isResumed(client: brief))
    #expect(try isResumed(client: brief))
    let key = try #require(brief.key(to: runner("server"), as: brief.current))
    #expect(key.isValid())
    #expect(!key.isValid(at: .now + .seconds(3601)))
    // By a clock that went back to before the certificate was made.
    #expect(!key.isValid(at: .now, Int64(time(nil)) - 86_400 * 2))
    sleep(5)
    let far = try HandshakePair.run(client: brief, server: server).server
    #expect(far.error?.kind == .untrusted)
    #expect(far.error?.description.contains("certificate has expired") == true)
  }

  @Test("A server keeps only so many keys of a runner, the newest")
  func bounded() throws {
    #expect(try !isResumed())
    let name = try #require(client.key(to: runner("server"), as: client.current)).name
    func isThere() -> Bool { server.key(named: name, as: server.current) != nil }
    #expect(isThere())
    for _ in 1..<PreSharedKeys.most {
      #expect(try !isResumed(client: TunnelIdentities(client.current)))
    }
    #expect(isThere())
    #expect(try !isResumed(client: TunnelIdentities(client.current)))
    #expect(!isThere())
    #expect(try !isResumed())
  }

  @Test("A runner that the client's own message is sent back to does not take it for another")
  func reflected() throws {
    #expect(try !isResumed())
    let near = try HandshakePair.run(client: client, server: client).client
    #expect(near.error?.kind == .wrongName)
  }

  @Test(
    "Who has heard a key's name gets nowhere with it: not by saying the same, nor by another proof")
  func heard() throws {
    #expect(try !isResumed())
    let (honest, impostor, hello) = try begin()
    // The proofs are the last field of the message: that for SHA-256, which the server asks for, and behind it, with its
    // length, that for SHA-384.
    var changed = hello
    changed[changed.count - 1 - 48 - 1] ^= 1
    for message in [hello, changed] {
      let (handshake, near) = try serve(message)
      var progress = handshake.advance()
      if message == hello {
        guard case .waiting = progress else {
          Issue.record("\(progress)")
          continue
        }
        // What it would have to seal with keys that it does not have.
        try near.send([23, 3, 3, 0, 53] + [UInt8](repeating: 7, count: 53))
        progress = handshake.advance()
      }
      guard case .failed = progress else {
        Issue.record("\(progress)")
        continue
      }
    }
    // It is good for the one whose it is all the same, who offers it no more once a handshake with it has failed.
    #expect(try isResumed())
    let handshakeFailure: [UInt8] = [21, 3, 3, 0, 2, 2, 40]
    try impostor.send(handshakeFailure)
    guard case .failed = honest.advance() else {
      Issue.record("it was not refused")
      return
    }
    #expect(try !client.knows(runner("server")))
    #expect(try !isResumed())
    #expect(try isResumed())
  }

  /// A handshake of the client's, the socket that it is sent to, and its first message.
  private func begin() throws -> (TunnelHandshake, TestSocket, [UInt8]) {
    let (listener, port) = try TestSocket.listener()
    let near = OwnedDescriptor(owning: Self.nonBlocking(try TestSocket.connect(port)))
    let handshake = try TunnelHandshake(
      .client(expected: runner("server")), on: near, peer: "server", identities: client,
      allowsKernel: false)
    guard case .waiting = handshake.advance() else { throw Unexpected() }
    let far = try listener.accept()
    return (handshake, far, try far.receive())
  }

  private struct Unexpected: Error {}

  /// A handshake of the server's, and the socket on which it has been sent `message`.
  private func serve(_ message: [UInt8]) throws -> (TunnelHandshake, TestSocket) {
    let (listener, port) = try TestSocket.listener()
    let near = try TestSocket.connect(port)
    let far = OwnedDescriptor(owning: Self.nonBlocking(try listener.accept()))
    try near.send(message)
    return (
      try TunnelHandshake(
        .server, on: far, peer: "client", identities: server, allowsKernel: false), near
    )
  }

  private static func nonBlocking(_ socket: TestSocket) -> Int32 {
    let descriptor = socket.duplicate()
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    return descriptor
  }

  @Test(
    "Keys are agreed on with ML-KEM where certificates are shown, and by X25519 with a pre-shared key"
  )
  func groups() throws {
    // The extension key_share of a ServerHello (RFC 8446 4.2.8) begins with its number, its length and the group; that of a
    // HelloRetryRequest is no longer.
    func group() throws -> [UInt8] {
      let (handshake, near) = try serve(begin().2)
      guard case .waiting = handshake.advance() else { throw Unexpected() }
      let answer = try near.receive()
      let place = try #require(
        (answer + [0, 0]).indices.dropLast(7).first { index in
          let length = Int(answer[index + 2]) << 8 | Int(answer[index + 3])
          let shareLength = (answer + [0, 0])[(index + 6)...(index + 7)].reduce(0) {
            $0 << 8 | Int($1)
          }
          return answer[index] == 0 && answer[index + 1] == 51
            && [2, shareLength + 4].contains(length)
        })
      return Array(answer[place + 4...place + 5])
    }
    #expect(try group() == [0x11, 0xec])
    #expect(try !isResumed())
    #expect(try group() == [0, 29])
    // A server that has forgotten the key asks for the other group before it shows its certificate.
    server.rotate(to: server.current)
    #expect(try group() == [0x11, 0xec])
    #expect(try !isResumed())
    #expect(try isResumed())
  }
}
