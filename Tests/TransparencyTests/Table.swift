import Foundation
import TestSupport

/// What `Programs/table.py` lists.
struct Table: Decodable, Sendable {
  /// The cases, in the order of the documentation.
  let cases: [Case]
  /// What is known to differ.
  let known: [KnownDifference]

  /// Has the program list them.
  static func read() throws -> Table {
    let result = try run(python + [directory.appendingPathComponent("table.py").path])
    guard result.status == 0 else { throw Unexpected(result.errors) }
    return try JSONDecoder().decode(Table.self, from: Data(result.output.utf8))
  }

  /// The cases that this run is for: all, unless ISTBPF_TRANSPARENT_CASES names some.
  func chosen() throws -> [Case] {
    guard let names = ProcessInfo.processInfo.environment["ISTBPF_TRANSPARENT_CASES"] else {
      return cases
    }
    let keys = Set(names.split(separator: " ").map(String.init))
    let unknown = keys.subtracting(cases.map(\.key))
    guard unknown.isEmpty else { throw Unexpected("no such case: \(unknown.sorted())") }
    return cases.filter { keys.contains($0.key) }
  }

  /// What is known of a case on a path.
  func known(of each: Case, on path: Path) -> [KnownDifference] {
    known.filter { $0.key == each.key && $0.paths.contains(path) }
  }

  /// Where the programs are.
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Programs")
  /// Not the first python3 in PATH, which may be a shim; and it leaves no file behind.
  static let python = ["/usr/bin/python3", "-B"]
}
