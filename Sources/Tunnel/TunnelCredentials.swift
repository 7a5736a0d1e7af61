import LinuxSystem

/// What a runner proves itself by, as PEM text.
public struct TunnelCredentials: Sendable {
  /// The certificates of the cluster's authority; several while it is being replaced.
  public let authorities: String
  /// The runner's certificate, and those between it and the authority if there are any.
  public let certificate: String
  /// The certificate's private key, unencrypted.
  public let key: String

  /// Credentials that are in memory.
  public init(authorities: String, certificate: String, key: String) {
    (self.authorities, self.certificate, self.key) = (authorities, certificate, key)
  }

  /// Reads three PEM files; throws `SystemError`.
  public init(authoritiesAt: String, certificateAt: String, keyAt: String) throws {
    self.init(
      authorities: try SmallFile.read(authoritiesAt),
      certificate: try SmallFile.read(certificateAt), key: try SmallFile.read(keyAt))
  }
}
