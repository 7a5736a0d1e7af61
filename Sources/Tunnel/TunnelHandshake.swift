import CLinux
import CBoringSSL
import Glibc
import LinuxSystem
import Model
import SystemPackage

/// What BoringSSL's callbacks of one handshake need, found by its `SSL`.
final class HandshakeState {
  let verification: PeerVerification
  let secrets = TrafficSecrets()
  let identity: TunnelIdentity
  private let identities: TunnelIdentities
  private let expected: RunnerIdentifier?
  /// The one that BoringSSL got, whose credential has a pointer to it, which keeps nothing.
  private var key: PreSharedKey?
  /// The one that the handshake was made with; nil before its end, and where certificates were shown.
  var keyInUse: PreSharedKey?

  /// How many names of keys of a client's are looked up; it has one, and says it for each hash.
  static let mostKeys = 4

  init(_ identities: TunnelIdentities, expected: RunnerIdentifier?) {
    identity = identities.current
    (self.identities, self.expected) = (identities, expected)
    verification = PeerVerification(
      cluster: identity.certificate.runner.cluster, expected: expected, identities: identities)
  }

  /// The key that a client offers to the runner that it wants.
  func keyToOffer() -> PreSharedKey? {
    key = expected.flatMap { identities.key(to: $0, as: identity) }
    return key
  }

  /// Offers it no more: the handshake with it has failed.
  func forgetOffered() {
    if expected != nil, let key { identities.forget(key) }
  }

  /// The key of that name, which a client offers to this runner.
  func key(named name: [UInt8]) -> PreSharedKey? {
    guard expected == nil, key == nil else { return nil }
    key = identities.key(named: name, as: identity)
    return key
  }

  /// Who the peer of a handshake is that has ended, and whether it was known by a key; nil where it is not to be
  /// admitted.
  var peer: (certificate: PeerCertificate, isKnown: Bool)? {
    guard let keyInUse else { return verification.peer.map { ($0, false) } }
    guard keyInUse === key, expected == nil || keyInUse.peer.runner == expected,
      !identities.isDenied(keyInUse.peer.serial)
    else { return nil }
    return (keyInUse.peer, true)
  }

  /// Keeps the key of a handshake in which `peer` has shown its certificate, for further ones.
  func keepKey(of connection: OpaquePointer, peer: PeerCertificate) {
    // A runner of an earlier version has none. What is made with the key is to be as safe as this tunnel.
    guard SSL_get_group_id(connection) == UInt16(SSL_GROUP_X25519_MLKEM768),
      let validity = verification.validity,
      let made = PreSharedKey(of: connection, peer: peer, validity: validity)
    else { return }
    if expected == nil {
      identities.keepAccepted(made, as: identity)
    } else {
      identities.keepBegun(made, offered: key, as: identity)
    }
  }

  /// The state of `connection`'s handshake; nil when that has ended.
  static func of(_ connection: OpaquePointer) -> HandshakeState? {
    SSL_get_ex_data(connection, 0).map {
      Unmanaged<HandshakeState>.fromOpaque($0).takeUnretainedValue()
    }
  }
}

/// A TLS handshake on a connected, non-blocking TCP socket.
///
/// For one thread: it is advanced whenever its socket is ready, and its owner gives it a deadline.
package final class TunnelHandshake {
  /// Which end this is.
  package enum Role {
    /// The end that connected, to this runner.
    case client(expected: RunnerIdentifier)
    /// The end that accepted.
    case server
  }

  /// How far it has come.
  package enum Progress {
    /// It waits for the socket to become readable or writable.
    case waiting
    /// The tunnel is there. The handshake is over and not to be used any more.
    case done(TunnelChannel)
    /// It failed. The handshake is over.
    case failed(TunnelError)
  }

  private let role: Role
  /// The peer's address, for errors.
  private let peer: String
  private let state: HandshakeState
  private let buffer: SendBuffer
  private let allowsKernel: Bool
  private var socket: OwnedDescriptor?
  private var connection: OpaquePointer?
  private let descriptor: Int32

  /// Begins as `role` on `socket`. Without `allowsKernel` the tunnel stays in user space.
  ///
  /// Throws `TunnelError` where BoringSSL has no memory.
  package init(
    _ role: Role, on socket: consuming OwnedDescriptor, peer: String,
    identities: TunnelIdentities, allowsKernel: Bool
  ) throws {
    let expected: RunnerIdentifier? =
      if case .client(let expected) = role { expected } else { nil }
    descriptor = socket.rawValue
    state = HandshakeState(identities, expected: expected)
    buffer = SendBuffer(descriptor: descriptor)
    (self.role, self.peer, self.allowsKernel) = (role, peer, allowsKernel)
    self.socket = consume socket
    ERR_clear_error()
    guard let connection = SSL_new(state.identity.context) else { throw Self.noMemory(peer) }
    self.connection = connection
    if let key = state.keyToOffer() {
      guard SSL_add1_credential(connection, key.credential) == 1,
        SSL_set1_client_key_shares(connection, PreSharedKey.groups, 1) == 1
      else { throw Self.noMemory(peer) }
    }
    guard let output = buffer.makeBIO() else { throw Self.noMemory(peer) }
    SSL_set0_wbio(connection, output)
    guard let input = BIO_new_socket(descriptor, BIO_NOCLOSE) else { throw Self.noMemory(peer) }
    SSL_set0_rbio(connection, input)
    SSL_set_ex_data(connection, 0, Unmanaged.passUnretained(state).toOpaque())
    if expected == nil {
      SSL_set_accept_state(connection)
    } else {
      SSL_set_connect_state(connection)
    }
  }

  deinit { abandonConnection() }

  private static func noMemory(_ peer: String) -> TunnelError {
    TunnelError(.handshake, peer: peer, BoringSSLErrors.take("BoringSSL has no memory"))
  }

  private func abandonConnection() {
    guard let connection else { return }
    SSL_set_ex_data(connection, 0, nil)
    SSL_free(connection)
    self.connection = nil
  }

  /// Goes as far as the socket allows.
  package func advance() -> Progress {
    guard let connection else { return fail(.handshake, "it has ended already") }
    guard buffer.flush() else {
      return buffer.failure.map { fail(.system($0), "cannot send: \($0)") } ?? .waiting
    }
    ERR_clear_error()
    errno = 0
    let result = SSL_do_handshake(connection)
    let error = Errno.last
    if let failure = state.verification.failure {
      // The alert that tells the peer why has been put into the buffer.
      _ = buffer.flush()
      let failed = TunnelError(
        failure.kind, peer: peer, certificate: failure.certificate, failure.cause)
      abandonConnection()
      return .failed(failed)
    }
    guard result == 1 else {
      return explain(SSL_get_error(connection, result), result == 0 ? nil : error)
    }
    return finish(connection)
  }

  /// `error` is nil at the end of what the peer sends.
  private func explain(_ code: Int32, _ error: Errno?) -> Progress {
    switch code {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
      if let failure = buffer.failure { return fail(.system(failure), "cannot send: \(failure)") }
      return .waiting
    case SSL_ERROR_SYSCALL:
      guard let error, error.rawValue != 0 else {
        return fail(.closed, "it closed the connection during the handshake")
      }
      return fail(.system(error), "the connection broke during the handshake: \(error)")
    case SSL_ERROR_ZERO_RETURN:
      return fail(.closed, "it closed the connection during the handshake")
    default:
      _ = buffer.flush()
      let text = BoringSSLErrors.take("the cause is not known")
      return fail(.handshake, "the handshake failed: \(BoringSSLErrors.explain(alert: text))")
    }
  }

  private func fail(_ kind: TunnelError.Kind, _ cause: String) -> Progress {
    if kind == .handshake { state.forgetOffered() }
    abandonConnection()
    return .failed(TunnelError(kind, peer: peer, cause))
  }

  private func finish(_ connection: OpaquePointer) -> Progress {
    guard buffer.flush() else {
      // A client's last flight must be out before the kernel takes over; the next call goes on,
      // since a handshake that is complete completes again.
      return buffer.failure.map { fail(.system($0), "cannot send: \($0)") } ?? .waiting
    }
    guard let peer = state.peer, let socket = socket.take() else {
      return fail(
        .handshake, "it showed no certificate, or it, or its key, was refused meanwhile")
    }
    // There are no sessions (`TunnelIdentity`). With one the key that is said to be in use need not be.
    guard SSL_session_reused(connection) == 0 else {
      return fail(.handshake, "it resumed a session, and there is none")
    }
    // Bytes that BoringSSL has taken already could not be given back; no runner sends any so early.
    guard SSL_has_pending(connection) == 0, let channel = channel(connection, socket, peer)
    else { return fail(.handshake, "what followed the handshake cannot be read") }
    if !peer.isKnown { state.keepKey(of: connection, peer: peer.certificate) }
    abandonConnection()
    return .done(channel)
  }

  /// The channel with the handshake's keys, which the kernel gets where it takes them. Nil where a key
  /// is not known, or there is no memory.
  private func channel(
    _ connection: OpaquePointer, _ socket: consuming OwnedDescriptor,
    _ peer: (certificate: PeerCertificate, isKnown: Bool)
  ) -> TunnelChannel? {
    let secrets = state.secrets
    defer { secrets.erase() }
    guard let suite = SSL_get_current_cipher(connection) else { return nil }
    let keyLength = Int(SSL_CIPHER_get_bits(suite, nil)) / 8
    let isServer = if case .server = role { true } else { false }
    let usesKernel = allowsKernel && linux_tls_attach(descriptor) == 0

    /// Nil where there is no key; a cipher only where the kernel did not take the key.
    func direction(isSending: Bool) -> (cipher: RecordCipher?, isReady: Bool) {
      secrets.withKeys(of: isSending == isServer ? .server : .client, keyLength: keyLength) {
        keys in
        if usesKernel, KernelTLS.install(keys, descriptor, isSending: isSending) {
          return (nil, true)
        }
        let cipher = RecordCipher(keys)
        return (cipher, cipher != nil)
      } ?? (nil, false)
    }
    let (send, receive) = (direction(isSending: true), direction(isSending: false))
    guard send.isReady, receive.isReady else { return nil }
    return TunnelChannel(
      socket, buffer: buffer, peer: peer.certificate, isResumed: peer.isKnown,
      sealer: send.cipher, opener: receive.cipher)
  }
}
