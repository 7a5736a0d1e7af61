import Foundation
import SwiftASN1
import X509

/// From when until when a certificate is valid.
public struct CertificateTimes: Hashable, Sendable {
  /// Not before this.
  public let notBefore: Date
  /// Not after this.
  public let notAfter: Date

  /// Of each certificate of a PEM text, which may hold keys, too. Throws what swift-asn1 and swift-certificates
  /// throw where it is none.
  public static func all(inPEM text: String) throws -> [CertificateTimes] {
    try PEMDocument.parseMultiple(pemString: text).filter { $0.discriminator == "CERTIFICATE" }
      .map {
        let certificate = try Certificate(pemDocument: $0)
        return CertificateTimes(
          notBefore: certificate.notValidBefore, notAfter: certificate.notValidAfter)
      }
  }
}
