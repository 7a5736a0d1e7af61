import CBoringSSL
import Glibc
import Model

/// What a handshake demands of the peer's certificate beyond a chain to the authority.
final class PeerVerification {
  private let cluster: String
  private let expected: RunnerIdentifier?
  private let identities: TunnelIdentities
  /// The peer, once its certificate has been found good.
  private(set) var peer: PeerCertificate?
  /// The time within which all certificates of its chain are valid, in seconds since 1970; nil where that cannot be read.
  private(set) var validity: ClosedRange<Int64>?
  /// Why it was refused.
  private(set) var failure: (kind: TunnelError.Kind, certificate: String, cause: String)?

  /// For a peer of `cluster`, and where `expected` is given for that runner alone.
  init(cluster: String, expected: RunnerIdentifier?, identities: TunnelIdentities) {
    (self.cluster, self.expected, self.identities) = (cluster, expected, identities)
  }

  /// BoringSSL's verification callback: it is called for each certificate of the chain and each fault.
  static let callback: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isGood, store in
    guard let store,
      let connection = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
      let handshake = HandshakeState.of(OpaquePointer(connection))
    else { return 0 }
    return handshake.verification.check(store, isGood: isGood == 1) ? 1 : 0
  }

  private func check(_ store: OpaquePointer, isGood: Bool) -> Bool {
    let certificate = X509_STORE_CTX_get_current_cert(store)
    guard isGood else {
      let code = X509_STORE_CTX_get_error(store)
      let text = X509_verify_cert_error_string(Int(code)).map { String(cString: $0) }
      failure = (
        .untrusted, Self.describe(certificate),
        (text ?? "error \(code)") + Self.explain(code, certificate)
      )
      return false
    }
    guard let certificate else { return false }
    if let weakness = Self.weakness(of: certificate) {
      failure = (.untrusted, Self.describe(certificate), weakness)
      X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
      return false
    }
    guard X509_STORE_CTX_get_error_depth(store) == 0 else { return true }
    guard let fault = fault(of: certificate) else {
      validity = CertificateValidity.range(of: X509_STORE_CTX_get0_chain(store))
      return true
    }
    failure = (fault.kind, Self.describe(certificate), fault.cause)
    X509_STORE_CTX_set_error(
      store, fault.kind == .revoked ? X509_V_ERR_CERT_REVOKED : X509_V_ERR_APPLICATION_VERIFICATION)
    return false
  }

  /// Why a certificate of a chain proves nothing: what BoringSSL takes, and OpenSSL by its level of security does not.
  private static func weakness(of certificate: OpaquePointer) -> String? {
    guard let key = X509_get0_pubkey(certificate) else { return "its key cannot be read" }
    if EVP_PKEY_id(key) == EVP_PKEY_RSA, EVP_PKEY_bits(key) < 2048 {
      return "its RSA key has only \(EVP_PKEY_bits(key)) bits: 2048 are needed"
    }
    // That of a root proves nothing anyway.
    let isRoot =
      X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(certificate)) == 0
    let sha1 = [NID_sha1WithRSAEncryption, NID_ecdsa_with_SHA1]
    return !isRoot && sha1.contains(X509_get_signature_nid(certificate))
      ? "it is signed with SHA-1" : nil
  }

  private func fault(of certificate: OpaquePointer) -> (kind: TunnelError.Kind, cause: String)? {
    let peer: PeerCertificate
    do { peer = try PeerCertificate(reading: certificate, cluster: cluster) } catch {
      return (.wrongName, error.description)
    }
    if let expected, peer.runner != expected {
      return (.wrongName, "it is that of \(peer.runner), and \(expected) should be there")
    }
    if identities.isDenied(peer.serial) { return (.revoked, "it has been revoked") }
    self.peer = peer
    return nil
  }

  /// What people need beside BoringSSL's words.
  private static func explain(_ code: Int32, _ certificate: OpaquePointer?) -> String {
    switch code {
    case X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED:
      certificate.map { ": " + CertificateValidity.describe($0) } ?? ""
    default: ""
    }
  }

  /// The certificate's subject and serial number.
  private static func describe(_ certificate: OpaquePointer?) -> String {
    guard let certificate else { return "unknown" }
    let serial = CertificateSerial(of: certificate)?.hexadecimal ?? "unknown"
    guard let text = X509_NAME_oneline(X509_get_subject_name(certificate), nil, 0) else {
      return "with serial number \(serial)"
    }
    defer { OPENSSL_free(text) }
    return "\(String(String(cString: text).prefix(200))) with serial number \(serial)"
  }
}
