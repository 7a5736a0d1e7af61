/// What the certificate authority refuses.
public enum CertificateError: Error, Hashable, CustomStringConvertible {
  /// A name that cannot stand in a certificate.
  case invalidName(String, subject: String)
  /// An invalid domain.
  case invalidDomain(String)
  /// There is an authority already.
  case exists(directory: String)
  /// There is none.
  case missing(directory: String)
  /// No certificate is known by this runner's name or serial number.
  case unknown(String)
  /// A lifetime that cannot be.
  case invalidLifetime(days: Int)

  /// What to tell people.
  public var description: String {
    switch self {
    case .invalidName(let name, let subject):
      """
      "\(name.prefix(63))" is no name for a \(subject): it must have 1 to 63 of a-z, A-Z, 0-9, '.', '-' \
      and '_'
      """
    case .invalidDomain(let name):
      "\"\(name.prefix(63))\" is no domain: labels of a-z, 0-9 and - are needed, as in example.org"
    case .exists(let directory):
      "\(directory) has a certificate authority already; nothing was changed"
    case .missing(let directory):
      "\(directory) has no certificate authority: make one with `istbpf ca init`"
    case .unknown(let name):
      "no certificate was issued to a runner \(name), or with that serial number: see `istbpf ca list`"
    case .invalidLifetime(let days):
      "a certificate cannot be valid for \(days) days: 1 to 825 are possible"
    }
  }
}
