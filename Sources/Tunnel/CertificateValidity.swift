import CBoringSSL
import Glibc

/// When a certificate is valid, in words: where it is refused for its time, the clock may be wrong.
enum CertificateValidity {
  /// From when to when the `X509` is valid, and what the time is here, all in UTC.
  static func describe(_ certificate: OpaquePointer) -> String {
    let from = text(X509_get0_notBefore(certificate))
    let to = text(X509_get0_notAfter(certificate))
    return "it is valid from \(from) to \(to), and this runner's clock says \(text(time(nil)))"
  }

  /// When the `X509` ends to be valid, in seconds since 1970; nil where that cannot be read.
  static func end(of certificate: OpaquePointer) -> Int64? {
    seconds(X509_get0_notAfter(certificate))
  }

  private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
    var seconds: Int64 = 0
    guard let time, ASN1_TIME_to_posix(time, &seconds) == 1 else { return nil }
    return seconds
  }

  /// The time within which all certificates of `chain` are valid, in seconds since 1970; nil where there are none, or
  /// that cannot be read.
  static func range(of chain: OpaquePointer?) -> ClosedRange<Int64>? {
    guard let chain else { return nil }
    var range = Int64.min...Int64.max
    for index in 0..<sk_X509_num(chain) {
      guard let certificate = sk_X509_value(chain, index),
        let from = seconds(X509_get0_notBefore(certificate)),
        let to = seconds(X509_get0_notAfter(certificate)), from <= to
      else { return nil }
      guard range.overlaps(from...to) else { return nil }
      range = range.clamped(to: from...to)
    }
    return range.lowerBound == .min ? nil : range
  }

  private static func text(_ time: UnsafePointer<ASN1_TIME>?) -> String {
    seconds(time).map { text(Int($0)) } ?? "an unknown time"
  }

  private static func text(_ seconds: time_t) -> String {
    var (seconds, parts, text) = (seconds, tm(), [CChar](repeating: 0, count: 32))
    gmtime_r(&seconds, &parts)
    let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
