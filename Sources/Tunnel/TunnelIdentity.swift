import CBoringSSL

/// A runner's certificate, key and authorities, checked and ready for handshakes.
///
/// It does not change: a rotated certificate is a new identity, and tunnels that were made with the
/// old one go on.
public final class TunnelIdentity: Sendable {
  /// This runner, as its certificate names it.
  public let certificate: PeerCertificate
  /// BoringSSL's `SSL_CTX` for both roles. Unsafe only in name: it is not changed after `init`, and
  /// its reference count is atomic.
  nonisolated(unsafe) let context: OpaquePointer

  /// AES-GCM alone, because that is what every kernel with TLS has, and 128 first, because it is
  /// the faster one.
  private static let suites = [
    UInt16(SSL_CIPHER_AES_128_GCM_SHA256), UInt16(SSL_CIPHER_AES_256_GCM_SHA384),
  ]
  /// What certificates may sign with: their keys are the operator's choice.
  private static let signatures = [
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ED25519, SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_ECDSA_SECP521R1_SHA512, SSL_SIGN_RSA_PSS_RSAE_SHA512,
  ].map { UInt16($0) }
  /// How keys are agreed on: first by X25519 with ML-KEM-768, so that who records what is sent today cannot read it
  /// with a quantum computer later.
  private static let groups = [
    UInt16(SSL_GROUP_X25519_MLKEM768), UInt16(SSL_GROUP_X25519), UInt16(SSL_GROUP_SECP256R1),
  ]

  /// Takes `credentials` of a runner of `cluster`.
  ///
  /// Throws `TunnelError` of kind `ownIdentity`: PEM that cannot be read, a key that does not belong
  /// to the certificate, a name that is not a runner's of `cluster`. That the certificate is valid
  /// now is for the peers to say, since clocks differ.
  public init(cluster: String, credentials: TunnelCredentials) throws {
    ERR_clear_error()
    guard let context = SSL_CTX_new(TLS_method()) else {
      throw Self.refused("BoringSSL has no memory")
    }
    do {
      certificate = try Self.prepare(context, cluster: cluster, credentials)
    } catch {
      SSL_CTX_free(context)
      throw error
    }
    self.context = context
  }

  deinit { SSL_CTX_free(context) }

  private static func refused(_ cause: String) -> TunnelError {
    TunnelError(
      .ownIdentity, peer: "any runner", "\(cause): \(BoringSSLErrors.take("no more is known"))")
  }

  private static func prepare(
    _ context: OpaquePointer, cluster: String, _ credentials: TunnelCredentials
  ) throws -> PeerCertificate {
    guard SSL_CTX_set_min_proto_version(context, UInt16(TLS1_3_VERSION)) == 1,
      SSL_CTX_set_max_proto_version(context, UInt16(TLS1_3_VERSION)) == 1,
      SSL_CTX_set1_tls13_ciphers(context, suites, nil, suites.count) == 1,
      SSL_CTX_set1_group_ids(context, groups, groups.count) == 1,
      SSL_CTX_set_verify_algorithm_prefs(context, signatures, signatures.count) == 1,
      // Without tickets nothing but data follows the handshake, so that both ends know the numbers
      // of the records with which kernel TLS begins.
      SSL_CTX_set_num_tickets(context, 0) == 1
    else { throw refused("BoringSSL lacks TLS 1.3 with AES-GCM") }
    // No session is kept, and no ticket taken: what tunnels are begun with besides certificates is PreSharedKey.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF)
    SSL_CTX_set_options(context, UInt32(SSL_OP_NO_TICKET))
    PreSharedKey.allow(in: context)
    SSL_CTX_set_verify(
      context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, PeerVerification.callback)
    SSL_CTX_set_keylog_callback(context, TrafficSecrets.callback)
    guard let store = SSL_CTX_get_cert_store(context) else { throw refused("no store") }
    let authorities = try PEM.eachCertificate(in: credentials.authorities) { certificate in
      guard X509_STORE_add_cert(store, certificate) == 1 else {
        throw refused("the authority's certificate cannot be used")
      }
    }
    guard let authorities else { throw refused("an authority's certificate cannot be read") }
    guard authorities > 0 else { throw refused("there is no authority's certificate") }
    return try useOwn(context, cluster: cluster, credentials)
  }

  private static func useOwn(
    _ context: OpaquePointer, cluster: String, _ credentials: TunnelCredentials
  ) throws -> PeerCertificate {
    var own: PeerCertificate?
    let count = try PEM.eachCertificate(in: credentials.certificate) { certificate in
      guard own == nil else {
        guard SSL_CTX_add1_chain_cert(context, certificate) == 1 else {
          throw refused("the chain's certificates cannot be used")
        }
        return
      }
      do {
        own = try PeerCertificate(reading: certificate, cluster: cluster)
      } catch {
        throw refused("the certificate cannot be used: \(error)")
      }
      guard SSL_CTX_use_certificate(context, certificate) == 1 else {
        throw refused("the certificate cannot be used")
      }
    }
    guard count != nil else { throw refused("a certificate of the chain cannot be read") }
    guard let own else { throw refused("there is no certificate") }
    guard let key = PEM.key(in: credentials.key) else { throw refused("there is no private key") }
    defer { EVP_PKEY_free(key) }
    guard SSL_CTX_use_PrivateKey(context, key) == 1, SSL_CTX_check_private_key(context) == 1 else {
      throw refused("the key is not that of certificate \(own.serial)")
    }
    return own
  }
}
