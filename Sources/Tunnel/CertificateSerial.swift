import CBoringSSL

/// A certificate's serial number, by which it is revoked.
public struct CertificateSerial: Hashable, Sendable {
  /// The number in hexadecimal, upper case, without leading zeros, as `openssl x509 -serial` says it
  /// but for those.
  public let hexadecimal: String

  /// The serial number that `text` is in hexadecimal, colons allowed; nil where it is none.
  public init?(_ text: String) {
    let digits = text.filter { $0 != ":" }
    guard !digits.isEmpty, digits.utf8.count <= 64,
      digits.allSatisfy({ $0.isASCII && $0.isHexDigit })
    else { return nil }
    let significant = digits.uppercased().drop { $0 == "0" }
    hexadecimal = significant.isEmpty ? "0" : String(significant)
  }

  /// The serial number of an `X509`.
  init?(of certificate: OpaquePointer) {
    guard let integer = X509_get0_serialNumber(certificate),
      let number = ASN1_INTEGER_to_BN(integer, nil)
    else { return nil }
    defer { BN_free(number) }
    guard let text = BN_bn2hex(number) else { return nil }
    defer { OPENSSL_free(text) }
    self.init(String(cString: text))
  }
}

extension CertificateSerial: CustomStringConvertible {
  /// The number in hexadecimal.
  public var description: String { hexadecimal }
}
