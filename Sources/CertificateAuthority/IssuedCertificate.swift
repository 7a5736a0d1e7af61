import Foundation

/// What the authority keeps of a certificate that it issued.
public struct IssuedCertificate: Codable, Hashable, Sendable {
  /// The serial number in lower-case hexadecimal, without leading zeros: as the deny list has it.
  public let serial: String
  /// The runner's name.
  public let runner: String
  /// The first moment at which it is valid.
  public let notBefore: Date
  /// The last.
  public let notAfter: Date

  /// Whether it is of use.
  public enum State: String, Codable, Sendable {
    case valid, expired, revoked
  }
}
