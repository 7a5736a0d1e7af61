import CBoringSSL
import Glibc

/// What two runners that have shown each other their certificates may begin further tunnels with: a secret that both
/// took from that tunnel (RFC 8446 7.5), as the imported pre-shared key (RFC 9258) of a handshake with a key exchange of
/// its own (RFC 8446 4.2.11, `psk_dhe_ke`). Such a handshake costs less than half: nothing is signed, and no certificate
/// read.
///
/// It is good for what the certificates were good for, and for `lifetime`, in the roles that the runners had. No tunnel
/// that is made with it yields another. The secret is in BoringSSL's memory alone.
final class PreSharedKey: Sendable {
  /// How long it is used.
  static let lifetime = Duration.seconds(3600)
  /// How the keys of handshakes with one are agreed on. An exchange that holds against quantum computers adds nothing:
  /// the secret comes from a handshake that had one. A client begins by the first, and offers the others too: a server that
  /// does not know its key has it begin again with ML-KEM (HelloRetryRequest).
  static let groups = [UInt16(SSL_GROUP_X25519), UInt16(SSL_GROUP_SECP256R1)]

  /// Who proved to be at the other end.
  let peer: PeerCertificate
  /// What it is called in a client's first message, which everybody may read.
  let name: [UInt8]
  /// BoringSSL's `SSL_CREDENTIAL`, which knows this object. Unsafe only in name: it is not changed after `init`, and its
  /// reference count is atomic.
  nonisolated(unsafe) let credential: OpaquePointer
  private let madeAt: ContinuousClock.Instant
  /// The time within which all certificates of the peer's chain are valid, in seconds since 1970.
  private let validity: ClosedRange<Int64>

  private static let nameLength = 16
  private static let context = Array("istbpf".utf8)
  /// Where a credential has its key.
  private static let index = SSL_CREDENTIAL_get_ex_new_index(0, nil, nil, nil, nil)

  /// Takes it from a handshake that has ended, in which `peer` has shown its certificate, of a chain that is valid within
  /// `validity`; nil where BoringSSL gives none.
  init?(of connection: OpaquePointer, peer: PeerCertificate, validity: ClosedRange<Int64>) {
    var secret = [UInt8](repeating: 0, count: 32)
    defer { OPENSSL_cleanse(&secret, secret.count) }
    var name = [UInt8](repeating: 0, count: Self.nameLength)
    guard Self.export(connection, "EXPORTER-istbpf-psk-name", into: &name),
      Self.export(connection, "EXPORTER-istbpf-psk", into: &secret),
      let credential = SSL_CREDENTIAL_new_pre_shared_key(
        secret, secret.count, name, name.count, EVP_sha256(), Self.context, Self.context.count)
    else { return nil }
    (self.peer, self.name, self.validity, madeAt) = (peer, name, validity, .now)
    self.credential = credential
    guard
      SSL_CREDENTIAL_set_ex_data(
        credential, Self.index, Unmanaged.passUnretained(self).toOpaque()) == 1
    else { return nil }
  }

  deinit { SSL_CREDENTIAL_free(credential) }

  private static func export(
    _ connection: OpaquePointer, _ label: String, into output: inout [UInt8]
  ) -> Bool {
    SSL_export_keying_material(
      connection, &output, output.count, label, label.utf8.count, nil, 0, 0) == 1
  }

  /// Whether it may be used at `now`, which is `time` in seconds since 1970.
  func isValid(at now: ContinuousClock.Instant = .now, _ time: Int64 = Int64(time(nil))) -> Bool {
    now < madeAt + Self.lifetime && validity.contains(time)
  }

  // MARK: - In a handshake

  /// Has the servers' handshakes of `context` take what their `HandshakeState` knows, and both ends' `HandshakeState` be
  /// told which one the handshake was made with.
  static func allow(in context: OpaquePointer) {
    SSL_CTX_set_select_certificate_cb(context, find)
    SSL_CTX_set_info_callback(context, end)
  }

  /// The server's, for a client's first message: keys that it does not know are passed over, and certificates are shown.
  private static let find:
    @convention(c) (UnsafePointer<SSL_CLIENT_HELLO>?) -> ssl_select_cert_result_t = { hello in
      guard let hello, let connection = hello.pointee.ssl,
        let handshake = HandshakeState.of(connection)
      else { return ssl_select_cert_error }
      var (name, length) = (UnsafePointer<UInt8>?.none, 0)
      for index in 0..<HandshakeState.mostKeys {
        let result = boringssl_offered_key(hello, index, &name, &length)
        if result == 0 { break }
        guard result == 1, length == nameLength,
          let key = handshake.key(named: Array(UnsafeBufferPointer(start: name, count: length)))
        else { continue }
        return SSL_add1_credential(connection, key.credential) == 1
          && SSL_set1_group_ids(connection, groups, groups.count) == 1
          ? ssl_select_cert_success : ssl_select_cert_error
      }
      return ssl_select_cert_success
    }

  /// Both ends': a handshake is over, and BoringSSL still knows what it was made with.
  private static let end: @convention(c) (OpaquePointer?, Int32, Int32) -> Void = {
    connection, event, _ in
    guard event == SSL_CB_HANDSHAKE_DONE, let connection,
      let credential = SSL_get0_selected_credential(connection),
      let key = SSL_CREDENTIAL_get_ex_data(credential, index)
    else { return }
    HandshakeState.of(connection)?.keyInUse =
      Unmanaged<PreSharedKey>.fromOpaque(key).takeUnretainedValue()
  }
}
