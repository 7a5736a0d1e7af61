import CBoringSSL
import Model

/// What a runner proved to be when a tunnel was made.
public struct PeerCertificate: Hashable, Sendable {
  /// The runner that the certificate names.
  public let runner: RunnerIdentifier
  /// The certificate's serial number.
  public let serial: CertificateSerial
  /// When it ends to be valid, in seconds since 1970; nil where that cannot be read.
  public let end: Int64?

  /// What another process of this runner has read.
  package init(runner: RunnerIdentifier, serial: CertificateSerial, end: Int64?) {
    (self.runner, self.serial, self.end) = (runner, serial, end)
  }

  /// Reads the `X509`; throws what is wrong with its name, as a cause for people.
  init(reading certificate: OpaquePointer, cluster: String) throws(NameFault) {
    var text = [CChar](repeating: 0, count: 600)
    let count = boringssl_uri_name(certificate, &text, text.count)
    guard count == 1 else {
      throw NameFault(
        description: count < 0
          ? "its subject alternative name cannot be read"
          : "it has \(count) URIs as subject alternative name, and a runner has one")
    }
    let uri = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let runner = RunnerIdentifier(uri: uri) else {
      throw NameFault(
        description: "its name '\(uri.prefix(200))' is not spiffe://<cluster>/runner/<name>")
    }
    guard runner.cluster == cluster else {
      throw NameFault(description: "it is of cluster '\(runner.cluster)', and this is '\(cluster)'")
    }
    guard let serial = CertificateSerial(of: certificate) else {
      throw NameFault(description: "its serial number cannot be read")
    }
    (self.runner, self.serial) = (runner, serial)
    end = CertificateValidity.end(of: certificate)
  }

  /// A certificate that does not name a runner of the cluster.
  struct NameFault: Error, CustomStringConvertible {
    let description: String
  }
}
