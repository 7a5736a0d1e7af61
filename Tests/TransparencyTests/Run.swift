import Foundation
import LinuxSystem
import TestSupport

/// The two programs of one path, and what they saw in each case.
struct Run {
  /// The addresses of both ends.
  struct Ends {
    let client = "198.18.1.2", server = "198.18.2.2"
    /// What each asks for to reach the other, and a service without an instance.
    let clientAsked: String, serverAsked: String, empty: String
  }

  private let ends: Ends
  private let directory: String

  /// Makes a directory that both programs can reach.
  init(_ ends: Ends, _ laboratory: NamespaceLaboratory) throws {
    let directory = "/tmp/istbpf-\(laboratory.uniqueName("transparent"))"
    laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    (self.ends, self.directory) = (ends, directory)
  }

  /// The command of the program at the server's end.
  var server: [String] { command("server", ends.server, ends.clientAsked, ends.client) }
  /// The command of the program at the caller's end.
  var client: [String] { command("client", ends.client, ends.serverAsked, ends.server) }

  private func command(_ role: String, _ own: String, _ asked: String, _ peer: String) -> [String] {
    let facts = [
      "directory": directory, "own": own, "asked": asked, "peer": peer, "empty": ends.empty,
      "own_asked": role == "server" ? ends.serverAsked : ends.clientAsked,
    ]
    let text = (try? JSONEncoder().encode(facts)).map { String(decoding: $0, as: UTF8.self) }
    return Table.python
      + [Table.directory.appendingPathComponent("peer.py").path, role, text ?? ""]
  }

  /// Has both do all cases, and returns what they saw.
  func transcripts(
    _ cases: [Case], _ server: Conversation, _ client: Conversation, wire: Wire? = nil
  ) throws -> [String: Transcript] {
    // The long ones first; so many at once, since most wait for something else than the CPU. An emulated one is what
    // they wait for.
    let cases = cases.filter { !$0.isCut || wire != nil }.sorted { $0.limit > $1.limit }
    try perform(
      cases.filter { !$0.isAlone && !$0.isCut }, atOnce: slowness == 1 ? 12 : 3, client)
    try perform(cases.filter(\.isAlone), atOnce: 1, client)
    if let wire { try perform(cases.filter(\.isCut), cutting: wire, client) }
    return try Dictionary(
      uniqueKeysWithValues: cases.map {
        ($0.key, try Transcript(readingFrom: "\(directory)/\($0.key).json"))
      })
  }

  private func perform(_ cases: [Case], atOnce width: Int, _ client: Conversation) throws {
    try begin(cases, atOnce: width, client)
    try awaitEnd(client)
  }

  /// All at once; cuts the wire for twelve seconds when each is ready for it.
  private func perform(_ cases: [Case], cutting wire: Wire, _ client: Conversation) throws {
    guard !cases.isEmpty else { return }
    try begin(cases, atOnce: cases.count, client)
    let deadline = Date() + 30 * Double(slowness)
    for each in cases {
      while !FileManager.default.fileExists(atPath: "\(directory)/\(each.key).ready") {
        guard Date() < deadline else { throw Unexpected("\(each.key) is not ready") }
        usleep(20_000)
      }
    }
    try wire.cut()
    try note("cut")
    sleep(12 * UInt32(slowness))
    try wire.mend()
    try note("mended")
    try awaitEnd(client)
  }

  private func begin(_ cases: [Case], atOnce width: Int, _ client: Conversation) throws {
    let keys = cases.map { "\"\($0.key)\"" }.joined(separator: ",")
    try client.say("[[\(keys)],\(width)]")
  }

  private func awaitEnd(_ client: Conversation) throws {
    let answer = try client.nextLine(patience: 300 * Double(slowness))
    guard answer == "done" else { throw Unexpected(answer) }
  }

  /// Tells the programs by a file.
  private func note(_ name: String) throws {
    try "".write(toFile: "\(directory)/\(name)", atomically: true, encoding: .utf8)
  }
}
