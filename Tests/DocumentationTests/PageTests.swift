import ArgumentParser
import Commands
import Foundation
import Testing

@Suite("The pages of the documentation")
struct PageTests {
  @Test("Every page that another one links to is there, and every page is linked to")
  func links() throws {
    var linked: Set<String> = []
    for page in try Page.all() {
      let directory = Page.root.appending(path: page.path).deletingLastPathComponent()
      for link in page.links {
        let file = directory.appending(path: link).standardizedFileURL
        #expect(
          FileManager.default.fileExists(atPath: file.path), "\(page.path) links to \(link)")
        linked.insert(file.path)
      }
    }
    for page in try Page.all() where page.path != "README.md" {
      let file = Page.root.appending(path: page.path).standardizedFileURL
      #expect(linked.contains(file.path), "nothing links to \(page.path)")
    }
  }

  @Test("Every command line of istbpf in a block is one that it takes")
  func commandLines() throws {
    var count = 0
    for page in try Page.all() {
      for line in page.blocks(in: ["", "sh", "console"]).joined() {
        guard let arguments = Self.arguments(of: line) else { continue }
        count += 1
        do { _ = try Istbpf.parseAsRoot(arguments) } catch {
          // Help is an outcome as well, such as that of `istbpf` alone.
          if Istbpf.exitCode(for: error) == .success { continue }
          Issue.record("\(page.path): \(line): \(Istbpf.message(for: error))")
        }
      }
    }
    #expect(count > 20)
  }

  /// What a line of a block gives istbpf; nil where it calls something else. Quotes are those of a shell; what comes
  /// after the first pipe, semicolon, redirection or comment is not looked at.
  private static func arguments(of line: String) -> [String]? {
    var words: [String] = []
    var word: String?
    var quote: Character?
    for character in line {
      if let open = quote {
        if character == open { quote = nil } else { word = (word ?? "") + String(character) }
      } else if character == "'" || character == "\"" {
        quote = character
        word = word ?? ""
      } else if "|;&<>#\\".contains(character) {
        break
      } else if character == " " {
        if let word { words.append(word) }
        word = nil
      } else {
        word = (word ?? "") + String(character)
      }
    }
    if let word { words.append(word) }
    if words.first == "$" { words.removeFirst() }
    if words.first == "until" || words.first == "sudo" { words.removeFirst() }
    guard words.first == "istbpf" else { return nil }
    return Array(words.dropFirst()).filter { $0 != "..." }
  }
}
