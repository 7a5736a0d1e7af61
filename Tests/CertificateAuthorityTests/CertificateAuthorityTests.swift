import CertificateAuthority
import Foundation
import TestSupport
import Testing

/// What it issues is looked at with OpenSSL, another library than that of the tunnels.
@Suite("Certificate authority")
final class CertificateAuthorityTests {
  private let directory: URL
  private var authorityDirectory: URL { directory.appending(path: "ca") }

  init() throws {
    directory = FileManager.default.temporaryDirectory
      .appending(path: "istbpf-ca-\(UInt32.random(in: 0...0xffff_ffff))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: directory) }

  private func write(_ text: String, _ name: String) throws -> String {
    let file = directory.appending(path: name)
    try Data(text.utf8).write(to: file)
    return file.path
  }

  private func verify(_ certificate: String, against bundle: String) throws -> Bool {
    try run(
      "openssl", "verify", "-x509_strict", "-CAfile", try write(bundle, "bundle.pem"),
      try write(certificate, "certificate.pem")
    ).status == 0
  }

  @Test("A certificate names its runner alone, is verified by the bundle, and fits its key")
  func issue() throws {
    let authority = try CertificateAuthority.create(in: authorityDirectory, cluster: "prod")
    let issued = try authority.issue(runner: "r1", days: 30)
    #expect(try verify(issued.certificate, against: issued.bundle))
    let file = try write(issued.certificate, "certificate.pem")
    let names = try run("openssl", "x509", "-in", file, "-noout", "-ext", "subjectAltName").output
    #expect(names.contains("URI:spiffe://prod/runner/r1"))
    #expect(names.components(separatedBy: "URI:").count == 2)
    let ofCertificate = try run("openssl", "x509", "-in", file, "-noout", "-pubkey").output
    let ofKey = try run(
      "openssl", "pkey", "-in", try write(issued.key, "key.pem"), "-pubout"
    ).output
    #expect(ofCertificate == ofKey)
  }

  @Test("After a rotation the bundle verifies what both authorities issued, after a second no more")
  func rotate() throws {
    let authority = try CertificateAuthority.create(in: authorityDirectory, cluster: "prod")
    let before = try authority.issue(runner: "r1", days: 30)
    try authority.rotate()
    let after = try authority.issue(runner: "r1", days: 30)
    #expect(try verify(before.certificate, against: after.bundle))
    #expect(try verify(after.certificate, against: after.bundle))
    #expect(try !verify(after.certificate, against: before.bundle))
    try authority.rotate()
    let last = try authority.issue(runner: "r1", days: 30)
    #expect(try !verify(before.certificate, against: last.bundle))
    #expect(try verify(after.certificate, against: last.bundle))
  }

  @Test("A revoked certificate is listed so and denied by its serial number; others are not")
  func revoke() throws {
    let authority = try CertificateAuthority.create(in: authorityDirectory, cluster: "prod")
    let issued = try authority.issue(runner: "r1", days: 30)
    _ = try authority.issue(runner: "r2", days: 30)
    #expect(try authority.revoke("r1").count == 1)
    #expect(try authority.revoke("r1").isEmpty)
    #expect(try authority.issued().map(\.state) == [.revoked, .valid])
    let serial = try run(
      "openssl", "x509", "-noout", "-serial", "-in", try write(issued.certificate, "c.pem")
    ).output.dropFirst("serial=".count).lowercased()
    let denied = try String(contentsOf: authority.denyListFile, encoding: .utf8)
    #expect(denied == serial.drop { $0 == "0" })
  }

  @Test("An authority is opened again with its cluster, and never made over an earlier one")
  func reopen() throws {
    _ = try CertificateAuthority.create(in: authorityDirectory, cluster: "prod")
    #expect(try CertificateAuthority(directory: authorityDirectory).cluster == "prod")
    #expect(throws: CertificateError.exists(directory: authorityDirectory.path)) {
      _ = try CertificateAuthority.create(in: authorityDirectory, cluster: "other")
    }
    let key = authorityDirectory.appending(path: "ca.key").path
    let mode = try FileManager.default.attributesOfItem(atPath: key)[.posixPermissions]
    #expect(mode as? Int == 0o600)
  }

  @Test(
    "Names that cannot stand in a certificate are refused",
    arguments: ["", "a b", "a/b", "ä", String(repeating: "r", count: 64), "r\n"])
  func names(name: String) throws {
    let authority = try CertificateAuthority.create(in: authorityDirectory, cluster: "prod")
    #expect(throws: CertificateError.invalidName(name, subject: "runner")) {
      _ = try authority.issue(runner: name, days: 30)
    }
    #expect(throws: CertificateError.invalidName(name, subject: "cluster")) {
      _ = try CertificateAuthority.create(
        in: self.directory.appending(path: "other"), cluster: name)
    }
  }

  @Test("A directory without an authority, an unknown runner and an odd lifetime are named")
  func errors() throws {
    #expect(throws: CertificateError.missing(directory: directory.path)) {
      _ = try CertificateAuthority(directory: self.directory)
    }
    let authority = try CertificateAuthority.create(in: authorityDirectory, cluster: "prod")
    #expect(throws: CertificateError.unknown("r9")) { _ = try authority.revoke("r9") }
    #expect(throws: CertificateError.invalidLifetime(days: 0)) {
      _ = try authority.issue(runner: "r1", days: 0)
    }
  }
}
