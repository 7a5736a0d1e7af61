import LinuxSystem
import Model
import Tunnel

extension Istbpf_Relay_V1_IdentityFiles {
  /// The identity that the files have, which must be `name`'s. Throws `TunnelError` or `ConfigurationProblem`.
  package func identity(of name: RunnerIdentifier) throws -> TunnelIdentity {
    let identity = try TunnelIdentity(
      cluster: name.cluster,
      credentials: TunnelCredentials(
        authoritiesAt: authorities, certificateAt: certificate, keyAt: key))
    guard identity.certificate.runner == name else {
      throw ConfigurationProblem(
        key: "tunnel.certificate",
        problem: "is \(identity.certificate.runner.uri)'s, not \(name.uri)'s")
    }
    return identity
  }

  /// The serial numbers on the deny list. Throws `SystemError` or `ConfigurationProblem`.
  package func deniedSerials() throws -> Set<CertificateSerial> {
    guard SmallFile.exists(denied) else { return [] }
    return Set(
      try SmallFile.read(denied).split(whereSeparator: \.isNewline).map { line in
        guard let serial = CertificateSerial(String(line)) else {
          throw ConfigurationProblem(
            key: "tunnel.denied", problem: "has a line that is no serial number: \(line.prefix(48))"
          )
        }
        return serial
      })
  }
}
