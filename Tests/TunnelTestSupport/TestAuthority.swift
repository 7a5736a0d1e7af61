import COpenSSL
import Tunnel

/// A certificate authority for one test, in memory.
public final class TestAuthority: @unchecked Sendable {
  // Safe because it is not changed after `init`.
  private let key: OpaquePointer
  private let certificate: OpaquePointer
  /// Its certificate as PEM.
  public let pem: String

  /// A new authority, valid between two times in seconds from now.
  public init(from: Int = -86_400, to: Int = 86_400) throws {
    key = try Self.makeKey()
    certificate = try Self.make(
      subject: "test authority", serial: 1, key: key, from: from, to: to)
    try Self.extend(certificate, issuer: certificate, NID_basic_constraints, "critical,CA:TRUE")
    try Self.extend(certificate, issuer: certificate, NID_key_usage, "critical,keyCertSign")
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate))
    guard X509_sign(certificate, key, EVP_sha256()) > 0 else { throw Failure() }
    pem = try Self.pem(certificate)
  }

  deinit {
    X509_free(certificate)
    EVP_PKEY_free(key)
  }

  /// Credentials with the SAN `names`, valid between two times in seconds from now.
  public func issue(
    names: String, serial: Int = .random(in: 2...1_000_000), from: Int = -3600, to: Int = 43_200
  ) throws -> TunnelCredentials {
    let key = try Self.makeKey()
    defer { EVP_PKEY_free(key) }
    let made = try Self.make(subject: "runner", serial: serial, key: key, from: from, to: to)
    defer { X509_free(made) }
    if !names.isEmpty { try Self.extend(made, issuer: certificate, NID_subject_alt_name, names) }
    X509_set_issuer_name(made, X509_get_subject_name(certificate))
    guard X509_sign(made, self.key, EVP_sha256()) > 0 else { throw Failure() }
    guard let bio = BIO_new(BIO_s_mem()) else { throw Failure() }
    defer { BIO_free(bio) }
    guard PEM_write_bio_PKCS8PrivateKey(bio, key, nil, nil, 0, nil, nil) == 1 else {
      throw Failure()
    }
    return TunnelCredentials(
      authorities: pem, certificate: try Self.pem(made), key: Self.text(bio))
  }

  /// The identity of the runner `name` of the cluster `test`.
  public func identity(
    _ name: String, serial: Int = .random(in: 2...1_000_000), from: Int = -3600, to: Int = 43_200
  ) throws -> TunnelIdentity {
    try TunnelIdentity(
      cluster: "test",
      credentials: issue(
        names: "URI:spiffe://test/runner/\(name)", serial: serial, from: from, to: to))
  }

  /// What OpenSSL refused.
  public struct Failure: Error {
    let text: String
    init() {
      text = ERR_reason_error_string(ERR_get_error()).map { String(cString: $0) } ?? "unknown"
    }
  }

  private static func makeKey() throws -> OpaquePointer {
    var key: OpaquePointer?
    guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil) else { throw Failure() }
    defer { EVP_PKEY_CTX_free(context) }
    guard EVP_PKEY_keygen_init(context) == 1,
      EVP_PKEY_CTX_set_group_name(context, "P-256") == 1,
      EVP_PKEY_keygen(context, &key) == 1, let key
    else { throw Failure() }
    return key
  }

  private static func make(
    subject: String, serial: Int, key: OpaquePointer, from: Int, to: Int
  ) throws -> OpaquePointer {
    guard let certificate = X509_new() else { throw Failure() }
    X509_set_version(certificate, 2)
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial)
    X509_gmtime_adj(X509_getm_notBefore(certificate), from)
    X509_gmtime_adj(X509_getm_notAfter(certificate), to)
    X509_NAME_add_entry_by_txt(
      X509_get_subject_name(certificate), "CN", ascii, subject, -1, -1, 0)
    X509_set_pubkey(certificate, key)
    return certificate
  }

  private static let ascii: Int32 = 0x1001

  private static func extend(
    _ certificate: OpaquePointer, issuer: OpaquePointer, _ number: Int32, _ value: String
  ) throws {
    var context = X509V3_CTX()
    X509V3_set_ctx(&context, issuer, certificate, nil, nil, 0)
    guard let made = X509V3_EXT_conf_nid(nil, &context, number, value) else { throw Failure() }
    defer { X509_EXTENSION_free(made) }
    guard X509_add_ext(certificate, made, -1) == 1 else { throw Failure() }
  }

  private static func pem(_ certificate: OpaquePointer) throws -> String {
    guard let bio = BIO_new(BIO_s_mem()) else { throw Failure() }
    defer { BIO_free(bio) }
    guard PEM_write_bio_X509(bio, certificate) == 1 else { throw Failure() }
    return text(bio)
  }

  private static func text(_ bio: OpaquePointer) -> String {
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let count = BIO_read(bio, &bytes, Int32(bytes.count))
    return String(decoding: bytes.prefix(Int(max(0, count))), as: UTF8.self)
  }
}
