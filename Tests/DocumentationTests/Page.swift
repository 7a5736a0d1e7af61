import Foundation
import Testing

/// A page of the documentation.
struct Page: CustomTestStringConvertible, Sendable {
  /// The repository.
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  let path: String
  let text: String

  /// The page at `path`, from the repository's root.
  init(_ path: String) throws {
    self.path = path
    text = try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
  }

  var testDescription: String { path }

  /// Every page.
  static func all() throws -> [Page] {
    let pages = try FileManager.default.contentsOfDirectory(
      atPath: root.appending(path: "Documentation").path)
    return try
      (["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
      + pages.filter { $0.hasSuffix(".md") }.sorted().map { "Documentation/\($0)" }).map(Page.init)
  }

  /// The lines of the fenced blocks in one of `languages`, a list for each; "" is no language.
  func blocks(in languages: Set<String>) -> [[String]] {
    var blocks: [[String]] = []
    var current: [String]?
    var isWanted = false
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        if let block = current {
          if isWanted { blocks.append(block) }
          current = nil
        } else {
          isWanted = languages.contains(String(line.dropFirst(3)))
          current = []
        }
      } else {
        current?.append(String(line))
      }
    }
    return blocks
  }

  /// The files of this repository that it links to, relative to its own directory.
  var links: [String] {
    text.matches(of: #/\]\(([^)#]+)(#[^)]*)?\)/#).map { String($0.1) }
      .filter { !$0.contains("://") }
  }
}
