import COpenSSL

/// A runner's certificate, key and authorities, checked and ready for handshakes.
///
/// It does not change: a rotated certificate is a new identity, and tunnels that were made with the
/// old one go on.
public final class TunnelIdentity: Sendable {
  /// This runner, as its certificate names it.
  public let certificate: PeerCertificate
  /// OpenSSL's `SSL_CTX` for both roles. Unsafe only in name: it is not changed after `init`, and
  /// its reference count is atomic.
  nonisolated(unsafe) let context: OpaquePointer

  /// AES-GCM alone, because that is what every kernel with TLS has, and 128 first, because it is
  /// the faster one.
  private static let suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"

  /// Takes `credentials` of a runner of `cluster`.
  ///
  /// Throws `TunnelError` of kind `ownIdentity`: PEM that cannot be read, a key that does not belong
  /// to the certificate, a name that is not a runner's of `cluster`. That the certificate is valid
  /// now is for the peers to say, since clocks differ.
  public init(cluster: String, credentials: TunnelCredentials) throws {
    ERR_clear_error()
    guard let context = SSL_CTX_new(TLS_method()) else { throw Self.refused("OpenSSL has no TLS") }
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
      .ownIdentity, peer: "any runner", "\(cause): \(OpenSSLErrors.take("no more is known"))")
  }

  private static func prepare(
    _ context: OpaquePointer, cluster: String, _ credentials: TunnelCredentials
  ) throws -> PeerCertificate {
    guard openssl_only_tls13(context) == 1, SSL_CTX_set_ciphersuites(context, suites) == 1,
      // Without tickets nothing but data follows the handshake, so that both ends know the numbers
      // of the records with which kernel TLS begins.
      SSL_CTX_set_num_tickets(context, 0) == 1
    else { throw refused("OpenSSL lacks TLS 1.3 with AES-GCM") }
    openssl_no_sessions(context)
    guard PreSharedKey.allow(in: context) else { throw refused("OpenSSL has no memory") }
    SSL_CTX_set_verify(
      context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, PeerVerification.callback)
    SSL_CTX_set_keylog_callback(context, TrafficSecrets.callback)
    guard let store = SSL_CTX_get_cert_store(context) else { throw refused("no store") }
    let authorities = try PEM.eachCertificate(in: credentials.authorities) { certificate in
      guard X509_STORE_add_cert(store, certificate) == 1 else {
        throw refused("the authority's certificate cannot be used")
      }
    }
    guard authorities > 0 else { throw refused("there is no authority's certificate") }
    return try useOwn(context, cluster: cluster, credentials)
  }

  private static func useOwn(
    _ context: OpaquePointer, cluster: String, _ credentials: TunnelCredentials
  ) throws -> PeerCertificate {
    var own: PeerCertificate?
    _ = try PEM.eachCertificate(in: credentials.certificate) { certificate in
      guard own == nil else {
        guard openssl_add_chain_certificate(context, certificate) == 1 else {
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
    guard let own else { throw refused("there is no certificate") }
    guard let key = PEM.key(in: credentials.key) else { throw refused("there is no private key") }
    defer { EVP_PKEY_free(key) }
    guard SSL_CTX_use_PrivateKey(context, key) == 1, SSL_CTX_check_private_key(context) == 1 else {
      throw refused("the key is not that of certificate \(own.serial)")
    }
    return own
  }
}
