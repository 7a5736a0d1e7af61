import Foundation
import TestSupport
import Testing

/// What people copy from Documentation/.
enum Documentation {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Documentation").standardizedFileURL

  /// The first block of containers.md in this language that has `part`.
  static func block(_ language: String, with part: String) throws -> String {
    let text = try String(
      contentsOf: directory.appendingPathComponent("containers.md"), encoding: .utf8)
    let blocks = text.components(separatedBy: "```\(language)\n").dropFirst()
      .map { $0.components(separatedBy: "```")[0] }
    let block = try #require(blocks.first { $0.contains(part) })
    #expect(block.contains("/usr/bin/istbpf-oci"))
    return block
  }
}

/// The parent of a process.
func parent(of process: pid_t) throws -> pid_t {
  let status = try run("ps", "-o", "ppid=", "-p", "\(process)").output
  return try #require(pid_t(status.trimmingCharacters(in: .whitespacesAndNewlines)))
}
