/// Whose certificate it is: the one name in its subject alternative names,
/// `spiffe://<cluster>/runner/<name>`.
public struct RunnerIdentity: Hashable, Sendable, CustomStringConvertible {
  /// The cluster, SPIFFE's trust domain: a-z, 0-9, `.`, `-` and `_`.
  public let cluster: String
  /// The runner's name: letters, digits, `.`, `-` and `_`.
  public let runner: String

  /// The identity of a runner; throws `CertificateError.invalidName`.
  public init(cluster: String, runner: String) throws(CertificateError) {
    try Self.check(cluster, "cluster", allowed: Self.clusterCharacters)
    try Self.check(runner, "runner", allowed: Self.runnerCharacters)
    self.cluster = cluster
    self.runner = runner
  }

  /// The name in the certificate.
  public var description: String { "spiffe://\(cluster)/runner/\(runner)" }

  private static let clusterCharacters = Set("abcdefghijklmnopqrstuvwxyz0123456789.-_")
  private static let runnerCharacters = clusterCharacters.union("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

  /// The characters of the SPIFFE-ID specification, sections 2.1 and 2.2.
  static func check(
    _ name: String, _ subject: String, allowed: Set<Character> = clusterCharacters
  ) throws(CertificateError) {
    guard (1...63).contains(name.count), name.allSatisfy(allowed.contains), name != ".",
      name != ".."
    else { throw .invalidName(name, subject: subject) }
  }
}
