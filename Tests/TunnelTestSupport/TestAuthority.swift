import CBoringSSL
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
    try Self.makeAuthority(certificate)
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
    names: String, serial: Int = .random(in: 2...1_000_000), from: Int = -3600, to: Int = 43_200,
    key kind: KeyKind = .p256
  ) throws -> TunnelCredentials {
    let key = try Self.makeKey(kind)
    defer { EVP_PKEY_free(key) }
    let made = try Self.make(subject: "runner", serial: serial, key: key, from: from, to: to)
    defer { X509_free(made) }
    if !names.isEmpty { try Self.name(made, names) }
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

  /// What BoringSSL refused.
  public struct Failure: Error {
    let text: String
    init() {
      text = ERR_reason_error_string(ERR_get_error()).map { String(cString: $0) } ?? "unknown"
    }
  }

  /// What a runner's key may be.
  public enum KeyKind: CaseIterable, Sendable {
    case p256, p384, p521, ed25519, rsa2048, rsa1024
  }

  private static func makeKey(_ kind: KeyKind = .p256) throws -> OpaquePointer {
    let (algorithm, curve): (Int32, Int32?) =
      switch kind {
      case .p256: (EVP_PKEY_EC, NID_X9_62_prime256v1)
      case .p384: (EVP_PKEY_EC, NID_secp384r1)
      case .p521: (EVP_PKEY_EC, NID_secp521r1)
      case .ed25519: (EVP_PKEY_ED25519, nil)
      case .rsa2048, .rsa1024: (EVP_PKEY_RSA, nil)
      }
    var key: OpaquePointer?
    guard let context = EVP_PKEY_CTX_new_id(algorithm, nil) else { throw Failure() }
    defer { EVP_PKEY_CTX_free(context) }
    guard EVP_PKEY_keygen_init(context) == 1,
      kind != .rsa1024 || EVP_PKEY_CTX_set_rsa_keygen_bits(context, 1024) == 1,
      curve.map({ EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, $0) }) ?? 1 == 1,
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

  /// Lets it sign certificates.
  private static func makeAuthority(_ certificate: OpaquePointer) throws {
    guard let constraints = BASIC_CONSTRAINTS_new(), let usage = ASN1_BIT_STRING_new() else {
      throw Failure()
    }
    defer {
      BASIC_CONSTRAINTS_free(constraints)
      ASN1_BIT_STRING_free(usage)
    }
    constraints.pointee.ca = 0xff
    let keyCertSign: Int32 = 5
    guard ASN1_BIT_STRING_set_bit(usage, keyCertSign, 1) == 1,
      X509_add1_ext_i2d(certificate, NID_basic_constraints, constraints, 1, 0) == 1,
      X509_add1_ext_i2d(certificate, NID_key_usage, usage, 1, 0) == 1
    else { throw Failure() }
  }

  /// Gives it subject alternative names, as `URI:spiffe://a/b,DNS:c`.
  private static func name(_ certificate: OpaquePointer, _ text: String) throws {
    guard let names = sk_GENERAL_NAME_new_null() else { throw Failure() }
    defer { GENERAL_NAMES_free(names) }
    for part in text.split(separator: ",") {
      let value = part.drop { $0 != ":" }.dropFirst()
      guard let name = GENERAL_NAME_new(), let string = ASN1_IA5STRING_new(),
        ASN1_STRING_set(string, Array(value.utf8), Int(value.utf8.count)) == 1
      else { throw Failure() }
      GENERAL_NAME_set0_value(name, part.hasPrefix("URI:") ? GEN_URI : GEN_DNS, string)
      guard sk_GENERAL_NAME_push(names, name) > 0 else { throw Failure() }
    }
    guard
      X509_add1_ext_i2d(certificate, NID_subject_alt_name, UnsafeMutableRawPointer(names), 0, 0)
        == 1
    else {
      throw Failure()
    }
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
