import Testing
import Tunnel
import TunnelTestSupport

@Suite("Handshakes", .timeLimit(.minutes(5)))
struct HandshakeTests {
  private let authority: TestAuthority
  private let server: TunnelIdentities
  private let client: TunnelIdentities

  init() throws {
    authority = try TestAuthority()
    server = TunnelIdentities(try authority.identity("server", serial: 0x51))
    client = TunnelIdentities(try authority.identity("client", serial: 0xc1))
  }

  private func identities(_ identity: TunnelIdentity) -> TunnelIdentities {
    TunnelIdentities(identity)
  }

  @Test("Two runners of one authority know each other, and say the same mode as the kernel has")
  func succeeds() throws {
    let (near, far) = try HandshakePair.run(client: client, server: server)
    let (a, b) = (try #require(near.channel), try #require(far.channel))
    #expect(a.peer.runner.name == "server")
    #expect(b.peer.runner.name == "client")
    #expect(b.peer.serial == CertificateSerial("C1"))
    let mode = KernelTLS.probe() == .available ? TunnelMode.kernel : .userSpace
    for channel in [a, b] {
      #expect(channel.sendMode == mode)
      #expect(channel.receiveMode == mode)
    }
    #expect(a.append([1, 2, 3]) && a.flush() == .done)
    var bytes: [UInt8] = [0, 0, 0, 0]
    var count = 0
    for _ in 0..<100 where count == 0 {
      if case .bytes(let received) = b.receive(into: &bytes, 4) { count = received }
    }
    #expect(bytes.prefix(count) == [1, 2, 3])
  }

  @Test("A client of another authority is refused by name and cause")
  func wrongAuthority() throws {
    let stranger = identities(try TestAuthority().identity("client"))
    let (near, far) = try HandshakePair.run(client: stranger, server: server)
    // The client does not trust the server either, and says so first.
    #expect(near.error?.kind == .untrusted)
    #expect(far.error != nil)
  }

  /// What each end says of a certificate that is the authority's, with something wrong, when the other
  /// one shows it: first the server, then the client.
  private func refusals(of wrong: TunnelIdentity) throws -> [TunnelError] {
    let wrong = identities(wrong)
    return [
      try #require(HandshakePair.run(client: wrong, server: server).server.error),
      try #require(
        HandshakePair.run(client: client, server: wrong, expected: "wrong").client.error),
    ]
  }

  @Test(
    "A certificate that has expired, or is not valid yet, is refused, and the clock is named",
    arguments: [
      (-7200, -3600, "certificate has expired"), (3600, 7200, "certificate is not yet valid"),
      // A certificate of now, seen with a clock that is wrong by a day either way.
      (-86_400 - 3600, -86_400 + 3600, "certificate has expired"),
      (86_400 - 3600, 86_400 + 3600, "certificate is not yet valid"),
    ])
  func wrongTime(from: Int, to: Int, cause: String) throws {
    for error in try refusals(of: authority.identity("wrong", from: from, to: to)) {
      #expect(error.kind == .untrusted)
      #expect(error.description.contains(cause), "\(error)")
      #expect(error.description.contains("this runner's clock says 2"), "\(error)")
      #expect(error.certificate?.contains("/CN=runner with serial number") == true)
    }
  }

  @Test("An authority that is not valid yet, as with a clock that is a day late, is named")
  func youngAuthority() throws {
    let young = try TestAuthority(from: 86_400 - 3600, to: 2 * 86_400)
    let (near, _) = try HandshakePair.run(
      client: identities(try young.identity("client")),
      server: identities(try young.identity("server")))
    let error = try #require(near.error)
    #expect(error.description.contains("certificate is not yet valid"), "\(error)")
    #expect(error.description.contains("this runner's clock says 2"), "\(error)")
    #expect(error.certificate?.contains("/CN=test authority") == true, "\(error)")
  }

  @Test("A server of another cluster is refused, though the authority is the same")
  func otherCluster() throws {
    let other = try TunnelIdentity(
      cluster: "other", credentials: authority.issue(names: "URI:spiffe://other/runner/server"))
    let (near, _) = try HandshakePair.run(client: client, server: identities(other))
    #expect(near.error?.kind == .wrongName)
    #expect(near.error?.cause.contains("of cluster 'other'") == true)
  }

  @Test(
    "An identity whose certificate names no runner, or two, cannot be used",
    arguments: [
      "", "DNS:client", "URI:https://test/runner/client",
      "URI:spiffe://test/runner/a,URI:spiffe://test/runner/b", "URI:spiffe://other/runner/client",
    ])
  func ownNames(names: String) throws {
    let credentials = try authority.issue(names: names)
    let error = #expect(throws: TunnelError.self) {
      try TunnelIdentity(cluster: "test", credentials: credentials)
    }
    #expect(error?.kind == .ownIdentity)
  }

  @Test("Credentials that do not belong together cannot be used")
  func ownFaults() throws {
    let names = "URI:spiffe://test/runner/a"
    let (one, two) = (try authority.issue(names: names), try authority.issue(names: names))
    for credentials in [
      TunnelCredentials(authorities: one.authorities, certificate: one.certificate, key: two.key),
      TunnelCredentials(authorities: "", certificate: one.certificate, key: one.key),
      TunnelCredentials(authorities: one.authorities, certificate: "none", key: one.key),
      TunnelCredentials(authorities: one.authorities, certificate: one.certificate, key: ""),
    ] {
      #expect(throws: TunnelError.self) {
        try TunnelIdentity(cluster: "test", credentials: credentials)
      }
    }
  }

  @Test("A server that is another runner than expected is refused")
  func wrongRunner() throws {
    let (near, far) = try HandshakePair.run(client: client, server: server, expected: "else")
    #expect(near.error?.kind == .wrongName)
    #expect(near.error?.cause.contains("spiffe://test/runner/else should be there") == true)
    #expect(far.error?.kind == .handshake)
  }

  @Test("A revoked certificate is refused, on either side, from the next handshake on")
  func revoked() throws {
    server.deny([try #require(CertificateSerial("C1"))])
    #expect(try HandshakePair.run(client: client, server: server).server.error?.kind == .revoked)
    server.deny([])
    client.deny([try #require(CertificateSerial("51"))])
    #expect(try HandshakePair.run(client: client, server: server).client.error?.kind == .revoked)
    client.deny([])
    #expect(try HandshakePair.run(client: client, server: server).client.channel != nil)
  }

  @Test(
    "A certificate may have a key of any common kind",
    arguments: TestAuthority.KeyKind.allCases.filter { $0 != .rsa1024 })
  func keyKinds(kind: TestAuthority.KeyKind) throws {
    func identities(_ name: String) throws -> TunnelIdentities {
      TunnelIdentities(
        try TunnelIdentity(
          cluster: "test",
          credentials: authority.issue(names: "URI:spiffe://test/runner/\(name)", key: kind)))
    }
    let (near, far) = try HandshakePair.run(
      client: identities("client"), server: identities("server"))
    #expect(near.channel != nil && far.channel != nil, "\(near), \(far)")
  }

  @Test("An RSA key of 1024 bits is refused, and said to be too short")
  func shortKey() throws {
    let short = try TunnelIdentity(
      cluster: "test",
      credentials: authority.issue(names: "URI:spiffe://test/runner/client", key: .rsa1024))
    let error = try HandshakePair.run(client: identities(short), server: server).server.error
    #expect(error?.kind == .untrusted)
    #expect(error?.cause.contains("only 1024 bits") == true, "\(error as Any)")
  }

  @Test("A certificate of a bundle that cannot be read is an error, and not the end of the bundle")
  func damagedBundle() throws {
    let good = try authority.issue(names: "URI:spiffe://test/runner/a")
    let damaged = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    for credentials in [
      TunnelCredentials(
        authorities: good.authorities + damaged, certificate: good.certificate, key: good.key),
      TunnelCredentials(
        authorities: good.authorities, certificate: good.certificate + damaged, key: good.key),
    ] {
      let error = #expect(throws: TunnelError.self) {
        try TunnelIdentity(cluster: "test", credentials: credentials)
      }
      #expect(error?.cause.contains("cannot be read") == true, "\(error as Any)")
    }
  }

  @Test("A rotated identity is used by the next handshake")
  func rotated() throws {
    client.rotate(to: try authority.identity("client", serial: 0xc2))
    let (_, far) = try HandshakePair.run(client: client, server: server)
    #expect(far.channel?.peer.serial == CertificateSerial("C2"))
  }
}
