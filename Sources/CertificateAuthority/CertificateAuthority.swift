import Crypto
import Foundation
import Model
import SwiftASN1
import X509

/// The installation's own certificate authority: a directory with its key, its certificates, and a
/// record of what it issued. It need not be on a runner.
///
/// - `ca.crt`: the authority's certificates, the current one first; after a rotation the earlier one
///   follows, so that certificates of both are taken.
/// - `ca.key`: the current one's key, mode 0600.
/// - `issued/`: a record for each certificate that was issued. No runner's key is kept.
/// - `denied`: serial numbers that are revoked, one a line: the deny list that every runner is given.
public struct CertificateAuthority {
  /// The directory.
  public let directory: URL

  /// The cluster, in the subject of the authority's certificate.
  public let cluster: String

  /// How long the authority itself is valid.
  private static let lifetime = TimeInterval(10 * 365 * 86400)
  /// Clocks of runners differ a little.
  private static let clockTolerance = TimeInterval(300)

  private var bundleFile: URL { directory.appending(path: "ca.crt") }
  private var keyFile: URL { directory.appending(path: "ca.key") }
  private var issuedDirectory: URL { directory.appending(path: "issued") }

  /// The deny list.
  public var denyListFile: URL { directory.appending(path: "denied") }

  /// Makes a new authority; throws `CertificateError` or a file error.
  public static func create(in directory: URL, cluster: String) throws -> CertificateAuthority {
    guard cluster.count <= 63, RunnerIdentifier(cluster: cluster, name: "any") != nil else {
      throw CertificateError.invalidName(cluster, subject: "cluster")
    }
    let authority = CertificateAuthority(directory: directory, cluster: cluster)
    guard !FileManager.default.fileExists(atPath: authority.bundleFile.path) else {
      throw CertificateError.exists(directory: directory.path)
    }
    try FileManager.default.createDirectory(
      at: authority.issuedDirectory, withIntermediateDirectories: true)
    try authority.writeNewAuthority(before: [])
    try write("", to: authority.denyListFile)
    return authority
  }

  /// Opens the authority in `directory`; throws `CertificateError.missing` or a file error.
  public init(directory: URL) throws {
    self.directory = directory
    let bundle = directory.appending(path: "ca.crt")
    guard FileManager.default.fileExists(atPath: bundle.path) else {
      throw CertificateError.missing(directory: directory.path)
    }
    let current = try Certificate(pemEncoded: Self.pems(in: bundle)[0].pemString)
    let organization = current.subject.flatMap { $0 }.first {
      $0.type == .RDNAttributeType.organizationName
    }
    cluster = organization.map { String(describing: $0.value) } ?? ""
  }

  private init(directory: URL, cluster: String) {
    (self.directory, self.cluster) = (directory, cluster)
  }

  /// Issues a certificate for a runner: its PEM, its key's, and the authority's certificates.
  public func issue(
    runner: String, days: Int
  ) throws -> (certificate: String, key: String, bundle: String) {
    // 64 characters are the most that a common name holds.
    guard runner.count <= 63, let identity = RunnerIdentifier(cluster: cluster, name: runner) else {
      throw CertificateError.invalidName(runner, subject: "runner")
    }
    return try issue(
      to: runner, named: [.uniformResourceIdentifier(identity.uri)],
      usages: [.serverAuth, .clientAuth], days: days)
  }

  /// Issues a certificate for the hosts of `domain`, `*.<domain>`, and `domain` itself: of no use as a
  /// runner's, since it names none.
  public func issue(
    domain: String, days: Int
  ) throws -> (certificate: String, key: String, bundle: String) {
    guard DomainName(domain) != nil else { throw CertificateError.invalidDomain(domain) }
    return try issue(
      to: "*.\(domain)", named: [.dnsName("*.\(domain)"), .dnsName(domain)], usages: [.serverAuth],
      days: days)
  }

  private func issue(
    to holder: String, named names: [GeneralName], usages: [ExtendedKeyUsage.Usage], days: Int
  ) throws -> (certificate: String, key: String, bundle: String) {
    guard (1...825).contains(days) else { throw CertificateError.invalidLifetime(days: days) }
    let authority = try Certificate(pemEncoded: Self.pems(in: bundleFile)[0].pemString)
    let authorityKey = try Certificate.PrivateKey(
      pemEncoded: String(contentsOf: keyFile, encoding: .utf8))
    let key = P256.Signing.PrivateKey()
    let now = Date()
    let certificate = try Certificate(
      version: .v3, serialNumber: Certificate.SerialNumber(),
      publicKey: Certificate.PublicKey(key.publicKey),
      notValidBefore: now.addingTimeInterval(-Self.clockTolerance),
      notValidAfter: min(
        now.addingTimeInterval(TimeInterval(days) * 86400), authority.notValidAfter),
      issuer: authority.subject,
      subject: try DistinguishedName { CommonName(String(holder.prefix(64))) },
      signatureAlgorithm: .ecdsaWithSHA256,
      extensions: try Certificate.Extensions {
        Critical(BasicConstraints.notCertificateAuthority)
        AuthorityKeyIdentifier(
          keyIdentifier: try authority.extensions.subjectKeyIdentifier?.keyIdentifier)
        Critical(KeyUsage(digitalSignature: true))
        try ExtendedKeyUsage(usages)
        SubjectAlternativeNames(names)
      },
      issuerPrivateKey: authorityKey)
    try record(certificate, runner: holder)
    return (
      try certificate.serializeAsPEM().pemString + "\n", key.pemRepresentation + "\n",
      try String(contentsOf: bundleFile, encoding: .utf8)
    )
  }

  /// Everything that was issued, by runner, then by age.
  public func issued() throws -> [(certificate: IssuedCertificate, state: IssuedCertificate.State)]
  {
    let denied = try denyList()
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .iso8601
    return try FileManager.default.contentsOfDirectory(
      at: issuedDirectory, includingPropertiesForKeys: nil
    )
    .filter { $0.pathExtension == "json" }
    .map { try decoder.decode(IssuedCertificate.self, from: Data(contentsOf: $0)) }
    .sorted { ($0.runner, $0.notBefore) < ($1.runner, $1.notBefore) }
    .map { certificate in
      let state: IssuedCertificate.State =
        denied.contains(certificate.serial)
        ? .revoked : certificate.notAfter < Date() ? .expired : .valid
      return (certificate, state)
    }
  }

  /// Revokes what was issued to a runner, or the one with a serial number: puts it on the deny list.
  ///
  /// - Returns: the certificates that were revoked by this, none where all of them were before.
  public func revoke(_ runnerOrSerial: String) throws -> [IssuedCertificate] {
    let all = try issued().filter {
      $0.certificate.runner == runnerOrSerial
        || $0.certificate.serial == runnerOrSerial.lowercased()
    }
    guard !all.isEmpty else { throw CertificateError.unknown(runnerOrSerial) }
    let revoked = all.filter { $0.state == .valid }.map(\.certificate)
    let serials = try denyList() + revoked.map(\.serial)
    try Self.write(serials.map { $0 + "\n" }.joined(), to: denyListFile)
    return revoked
  }

  /// Makes a new key and certificate for the authority. The earlier one stays in `ca.crt`, and what it
  /// issued stays valid, until the next rotation: in between every runner gets the new `ca.crt`, then
  /// a new certificate.
  public func rotate() throws {
    try writeNewAuthority(before: [try Self.pems(in: bundleFile)[0].pemString])
  }

  private func denyList() throws -> [String] {
    try String(contentsOf: denyListFile, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  private func writeNewAuthority(before: [String]) throws {
    let key = P256.Signing.PrivateKey()
    let identifier = SubjectKeyIdentifier(hash: Certificate.PublicKey(key.publicKey))
    // Two authorities of one name could not be told apart: BoringSSL tries the first one only.
    let name = try DistinguishedName {
      OrganizationName(cluster)
      CommonName("istbpf \(Self.hexadecimal(identifier.keyIdentifier.prefix(4)))")
    }
    let certificate = try Certificate(
      version: .v3, serialNumber: Certificate.SerialNumber(),
      publicKey: Certificate.PublicKey(key.publicKey),
      notValidBefore: Date().addingTimeInterval(-Self.clockTolerance),
      notValidAfter: Date().addingTimeInterval(Self.lifetime), issuer: name, subject: name,
      signatureAlgorithm: .ecdsaWithSHA256,
      extensions: try Certificate.Extensions {
        Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
        Critical(KeyUsage(keyCertSign: true, cRLSign: true))
        identifier
      },
      issuerPrivateKey: Certificate.PrivateKey(key))
    // The key first: a bundle without its key would be an authority that cannot issue.
    try Self.write(key.pemRepresentation + "\n", to: keyFile, mode: 0o600)
    let bundle = [try certificate.serializeAsPEM().pemString] + before
    try Self.write(bundle.joined(separator: "\n") + "\n", to: bundleFile)
  }

  private func record(_ certificate: Certificate, runner: String) throws {
    let serial = String(Self.hexadecimal(certificate.serialNumber.bytes).drop { $0 == "0" })
    let issued = IssuedCertificate(
      serial: serial, runner: runner, notBefore: certificate.notValidBefore,
      notAfter: certificate.notValidAfter)
    let encoder = JSONEncoder()
    encoder.dateEncodingStrategy = .iso8601
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try Self.write(
      String(decoding: try encoder.encode(issued), as: UTF8.self) + "\n",
      to: issuedDirectory.appending(path: "\(serial).json"))
  }

  private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }

  private static func pems(in file: URL) throws -> [PEMDocument] {
    try PEMDocument.parseMultiple(pemString: String(contentsOf: file, encoding: .utf8))
  }

  /// Writes a file whole or not at all, with its mode from the first moment.
  public static func write(_ text: String, to file: URL, mode: Int = 0o644) throws {
    let new = file.appendingPathExtension("new")
    // None is there, unless something broke off; `write` says what is wrong.
    try? FileManager.default.removeItem(at: new)
    guard
      FileManager.default.createFile(
        atPath: new.path, contents: Data(text.utf8), attributes: [.posixPermissions: mode])
    else { throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: new.path]) }
    guard rename(new.path, file.path) == 0 else {
      throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: file.path])
    }
  }
}
