import COpenSSL
import Glibc

/// What two runners that have shown each other their certificates may begin further tunnels with: a secret that both
/// took from that tunnel (RFC 8446 7.5), as the pre-shared key of a handshake with a key exchange of its own (4.2.11,
/// `psk_dhe_ke`). Such a handshake costs a fifth: nothing is signed, and no certificate read.
///
/// It is good for what the certificates were good for, and for `lifetime`, in the roles that the runners had. No tunnel
/// that is made with it yields another. The secret stays in this memory, which is not copied, and is zeroed at the end.
final class PreSharedKey: Sendable {
  /// How long it is used.
  static let lifetime = Duration.seconds(3600)

  /// Who proved to be at the other end.
  let peer: PeerCertificate
  private let madeAt: ContinuousClock.Instant
  /// The time within which all certificates of the peer's chain are valid, in seconds since 1970.
  private let validity: ClosedRange<Int64>
  /// Unsafe only in name: it is not changed after `init`. First the name, then the secret.
  private nonisolated(unsafe) let memory: UnsafeMutableRawBufferPointer
  private let suite: [UInt8]
  private static let nameLength = 16
  private static let idContext = Array("istbpf".utf8)
  /// Where a session has its key. As OpenSSL copies a session it copies only what has a number of OpenSSL's.
  private static let sessionIndex = CRYPTO_get_ex_new_index(
    CRYPTO_EX_INDEX_SSL_SESSION, 0, nil, nil, nil, nil)

  /// Takes it from a handshake that has ended, in which `peer` has shown its certificate; nil where OpenSSL gives none.
  init?(of connection: OpaquePointer, peer: PeerCertificate) {
    guard let cipher = SSL_get_current_cipher(connection),
      let hash = SSL_CIPHER_get_handshake_digest(cipher),
      let validity = CertificateValidity.range(ofChainOf: connection)
    else { return nil }
    let length = Int(EVP_MD_get_size(hash))
    memory = .allocate(byteCount: Self.nameLength + length, alignment: 8)
    let number = SSL_CIPHER_get_protocol_id(cipher)
    suite = [UInt8(number >> 8), UInt8(number & 0xff)]
    (self.peer, self.validity, madeAt) = (peer, validity, .now)
    guard
      Self.export(
        connection, "EXPORTER-istbpf-psk-name", into: .init(rebasing: memory[..<Self.nameLength])),
      Self.export(
        connection, "EXPORTER-istbpf-psk", into: .init(rebasing: memory[Self.nameLength...]))
    else { return nil }
  }

  deinit {
    OPENSSL_cleanse(memory.baseAddress, memory.count)
    memory.deallocate()
  }

  private static func export(
    _ connection: OpaquePointer, _ label: String, into output: UnsafeMutableRawBufferPointer
  ) -> Bool {
    SSL_export_keying_material(
      connection, output.baseAddress, output.count, label, label.utf8.count, nil, 0, 0) == 1
  }

  /// What it is called in a client's first message, which everybody may read.
  var name: UnsafeRawBufferPointer { .init(rebasing: memory[..<Self.nameLength]) }

  /// Whether it may be used at `now`, which is `time` in seconds since 1970.
  func isValid(at now: ContinuousClock.Instant = .now, _ time: Int64 = Int64(time(nil))) -> Bool {
    now < madeAt + Self.lifetime && validity.contains(time)
  }

  // MARK: - In a handshake

  /// Has the handshakes of `context` offer and take what their `HandshakeState` knows.
  static func allow(in context: OpaquePointer) -> Bool {
    SSL_CTX_set_psk_use_session_callback(context, offer)
    SSL_CTX_set_psk_find_session_callback(context, find)
    // Without it OpenSSL takes none from those who have to show a certificate.
    return SSL_CTX_set_session_id_context(context, idContext, UInt32(idContext.count)) == 1
  }

  /// The client's: OpenSSL asks once, and again with the hash where the server wants another group.
  private static let offer:
    @convention(c) (
      OpaquePointer?, OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
      UnsafeMutablePointer<Int>?, UnsafeMutablePointer<OpaquePointer?>?
    ) -> Int32 = { connection, hash, name, length, session in
      session?.pointee = nil
      guard let connection, let name, let length, let session,
        let key = HandshakeState.of(connection)?.keyToOffer(),
        hash.map({ Int(EVP_MD_get_size($0)) == key.secret.count }) ?? true
      else { return 1 }
      session.pointee = key.session(for: connection)
      name.pointee = key.name.baseAddress?.assumingMemoryBound(to: UInt8.self)
      length.pointee = key.name.count
      return 1
    }

  /// The server's: one that it does not know is passed over, and certificates are shown.
  private static let find:
    @convention(c) (
      OpaquePointer?, UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<OpaquePointer?>?
    ) -> Int32 = { connection, name, length, session in
      session?.pointee = nil
      guard let connection, let name, length == nameLength, let session,
        let key = HandshakeState.of(connection)?.key(
          named: UnsafeRawBufferPointer(start: name, count: length))
      else { return 1 }
      session.pointee = key.session(for: connection)
      return 1
    }

  private var secret: UnsafeRawBufferPointer { .init(rebasing: memory[Self.nameLength...]) }

  /// As OpenSSL wants it. The session knows this object, which the handshake keeps as long.
  private func session(for connection: OpaquePointer) -> OpaquePointer? {
    guard let cipher = SSL_CIPHER_find(connection, suite), let session = SSL_SESSION_new() else {
      return nil
    }
    let base = secret.baseAddress?.assumingMemoryBound(to: UInt8.self)
    guard SSL_SESSION_set1_master_key(session, base, secret.count) == 1,
      SSL_SESSION_set_cipher(session, cipher) == 1,
      SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1,
      // The client demands of a session what the server demands by the context.
      SSL_SESSION_set1_id_context(session, Self.idContext, UInt32(Self.idContext.count)) == 1,
      SSL_SESSION_set_ex_data(session, Self.sessionIndex, Unmanaged.passUnretained(self).toOpaque())
        == 1
    else {
      SSL_SESSION_free(session)
      return nil
    }
    return session
  }

  /// The one that the handshake of `connection`, which both ends have agreed to begin with one, was made with. Its
  /// `HandshakeState` has to be there still.
  static func used(in connection: OpaquePointer) -> PreSharedKey? {
    SSL_get_session(connection).flatMap { SSL_SESSION_get_ex_data($0, sessionIndex) }.map {
      Unmanaged<PreSharedKey>.fromOpaque($0).takeUnretainedValue()
    }
  }
}
