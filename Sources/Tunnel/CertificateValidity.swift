import COpenSSL
import Glibc

/// When a certificate is valid, in words: where it is refused for its time, the clock may be wrong.
enum CertificateValidity {
  /// From when to when the `X509` is valid, and what the time is here, all in UTC.
  static func describe(_ certificate: OpaquePointer) -> String {
    var seconds = time(nil)
    var now = tm()
    gmtime_r(&seconds, &now)
    let from = text(X509_get0_notBefore(certificate))
    let to = text(X509_get0_notAfter(certificate))
    return "it is valid from \(from) to \(to), and this runner's clock says \(text(now))"
  }

  /// When the `X509` ends to be valid, in seconds since 1970; nil where that cannot be read.
  static func end(of certificate: OpaquePointer) -> Int64? {
    seconds(X509_get0_notAfter(certificate))
  }

  private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
    var parts = tm()
    guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
    return Int64(timegm(&parts))
  }

  /// The time within which all certificates are valid that the peer of `connection` was found good by, in seconds since
  /// 1970; nil where there is none, or that cannot be read.
  static func range(ofChainOf connection: OpaquePointer) -> ClosedRange<Int64>? {
    guard let chain = SSL_get0_verified_chain(connection) else { return nil }
    var range = Int64.min...Int64.max
    for index in 0..<openssl_certificate_count(chain) {
      guard let certificate = openssl_certificate(chain, index),
        let from = seconds(X509_get0_notBefore(certificate)),
        let to = seconds(X509_get0_notAfter(certificate)), from <= to
      else { return nil }
      guard range.overlaps(from...to) else { return nil }
      range = range.clamped(to: from...to)
    }
    return range.lowerBound == .min ? nil : range
  }

  private static func text(_ time: UnsafePointer<ASN1_TIME>?) -> String {
    var parts = tm()
    guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return "an unknown time" }
    return text(parts)
  }

  private static func text(_ parts: tm) -> String {
    var (parts, text) = (parts, [CChar](repeating: 0, count: 32))
    let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
