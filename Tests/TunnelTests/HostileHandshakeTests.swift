import Foundation
import Glibc
import LinuxSystem
import Relay
import TestSupport
import Testing
import Tunnel
import TunnelTestSupport

/// Handshakes that BoringSSL's own client cannot be brought to make, made with tlslite-ng
/// (Programs/hostile_handshakes.py, which says what each does) against the port of a relay.
@Suite("Hostile handshakes", .timeLimit(.minutes(5)))
struct HostileHandshakeTests {
  /// What each comes to. Where the kernel decrypts, the tunnel ends without the alert that BoringSSL
  /// sends, and at a key update, which no runner makes and kernels before 6.14 cannot follow.
  private static let outcomes: [String: Set<String>] = [
    // The same client with nothing wrong, so that the others fail for the reason that they name.
    "good": ["answered"],
    // Other versions
    "tls_1_2": ["alert protocol_version"],
    "tls_1_0": ["alert protocol_version"],
    "ssl_3": ["alert protocol_version", "alert handshake_failure"],
    "ssl_2": ["alert protocol_version"],
    "only_chacha20": ["alert handshake_failure"],
    // Not who they say. The port closes at the first message that is wrong, so that the next ones of
    // the client may meet an RST before it has read the alert.
    "no_certificate": ["alert certificate_required", "closed", "reset"],
    "pre_shared_key_nobody_knows": ["alert certificate_required", "closed", "reset"],
    // One of the same name, so that it is found, but with another key.
    "unknown_authority": ["alert decrypt_error", "closed", "reset"],
    "key_of_another_certificate": ["alert decrypt_error", "closed", "reset"],
    // Broken records and messages
    "record_too_long": ["alert record_overflow"],
    "record_of_unknown_type": ["alert unexpected_message"],
    "empty_records": ["alert unexpected_message"],
    "hello_of_16_mib": ["alert illegal_parameter"],
    "fatal_alert_at_once": ["closed", "reset"],
    "thousand_warnings": ["alert unexpected_message"],
    // The alert is encrypted already.
    "hello_twice": ["closed", "reset"],
    "data_in_clear": ["closed", "reset"],
    "change_cipher_specs": ["closed", "reset"],
    "early_data": ["closed", "reset"],
    // In time, or not at all
    "hello_that_stops": ["closed", "reset"],
    "hello_one_byte_a_second": ["closed", "reset"],
    "hello_in_single_bytes": ["closed", "reset"],
    "reset_in_the_handshake": ["reset"],
    // Behind the handshake
    "close_notify_at_once": ["closed", "reset"],
    "key_update": ["closed", "alert close_notify", "reset"],
    "key_update_asked_of_the_peer": ["closed", "alert close_notify", "reset"],
    "thousand_key_updates": ["closed", "alert close_notify", "reset"],
    "renegotiation": ["alert unexpected_message", "closed", "reset"],
    "session_ticket_from_the_client": ["alert unexpected_message", "closed", "reset"],
    "certificate_request_from_the_client": ["alert unexpected_message", "closed", "reset"],
    "certificate_after_the_handshake": ["alert unexpected_message", "closed", "reset"],
    "handshake_message_of_unknown_type": ["alert unexpected_message", "closed", "reset"],
    "damaged_record": ["alert bad_record_mac", "closed", "reset"],
    "record_in_clear_after_the_handshake": [
      "alert unexpected_message", "alert bad_record_mac", "closed", "reset",
    ],
    "change_cipher_spec_after_the_handshake": ["alert unexpected_message", "closed", "reset"],
  ]

  private static let directory = URL(filePath: #filePath).deletingLastPathComponent()
  private static let program = directory.appending(path: "Programs/hostile_handshakes.py").path
  /// Where Scripts/setup puts tlslite-ng. Not resolved: by its name it knows what is installed there.
  private static let python = directory.deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: ".build/venv/bin/python3").path

  private static func python(_ arguments: String...) throws -> String {
    let result = try run([python, program] + arguments)
    guard result.status == 0 else {
      throw Failure(
        description: "\(program) \(arguments) ended with \(result.status): \(result.errors) "
          + "(Scripts/setup installs what it needs)")
    }
    return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// What the log says about those who are not who they say.
  private static let causes = [
    "no_certificate": "peer did not return a certificate",
    "pre_shared_key_nobody_knows": "peer did not return a certificate",
    "unknown_authority": "certificate signature failure",
    "key_of_another_certificate": "bad signature",
  ]

  @Test("Every case of the program is one of this suite's")
  func allCases() throws {
    let cases = try Self.python().split(separator: "\n").map(String.init)
    #expect(Set(cases) == Set(Self.outcomes.keys))
  }

  @Test("Documentation/tunnels.md has every case with its outcomes, and no other")
  func documented() throws {
    let file = Self.directory.appending(path: "../../Documentation/tunnels.md").standardized
    let text = try String(contentsOf: file, encoding: .utf8)
    let rows = text.components(separatedBy: "## Hostile handshakes")[1]
      .components(separatedBy: "\n## ")[0].split(separator: "\n").filter { $0.hasPrefix("| `") }
      .map { $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
    #expect(rows.count == Self.outcomes.count)
    for row in rows {
      let name = row[0].trimmingCharacters(in: ["`"])
      #expect(Self.outcomes[name]?.sorted().joined(separator: ", ") == row[2], "\(name)")
    }
  }

  @Test(
    "Each ends as it should, and others get their tunnels", arguments: outcomes.keys.sorted())
  func handshake(name: String) throws {
    var brief = RelayConfiguration()
    // The program's own cryptography is Python's.
    let patience = Duration.seconds(1 + slowness)
    (brief.handshakeTimeout, brief.answerTimeout) = (patience, patience)
    let laboratory = try RelayLaboratory(b: brief)
    defer { laboratory.stop() }
    let directory = "/tmp/istbpf-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let names = "URI:spiffe://test/runner/a"
    try write(try laboratory.authority.issue(names: names), "client", in: directory)
    try write(try TestAuthority().issue(names: names), "other", in: directory)

    let outcome = try Self.python("\(laboratory.peer.address.port)", directory, name)
    #expect(Self.outcomes[name]?.contains(outcome) == true, "\(outcome)")
    if let cause = Self.causes[name] {
      let told = laboratory.observedByB.compactMap { event in
        if case .handshakeFailed(let error, true) = event { error.description } else { nil }
      }
      #expect(told.count == 1 && told[0].contains(cause), "\(told)")
    }
    let (listener, port) = try TestSocket.listener()
    let program = try laboratory.connect(port)
    try program.send([42])
    #expect(try listener.accept().receive() == [42])
    // Each is told or, where it ended in order, at least gone.
    #expect(eventually { laboratory.b.counters.tunnelsLive <= 2 })
  }

  private func write(
    _ credentials: TunnelCredentials, _ name: String, in directory: String
  ) throws {
    for (text, kind) in [(credentials.certificate, "crt"), (credentials.key, "key")] {
      try text.write(toFile: "\(directory)/\(name).\(kind)", atomically: true, encoding: .utf8)
    }
  }
}
