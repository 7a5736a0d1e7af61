import ArgumentParser
import DaemonCommand
import Foundation
import Testing

@testable import Commands

/// Commands that stand in a line of text or in a table, as `istbpf status -d D`.
@Suite("Commands in the text of the documentation")
struct InlineCommandTests {
  @Test("Each command of istbpf and istbpfd is one that it takes")
  func parsed() throws {
    var count = 0
    for page in try Page.all() {
      for words in Self.commands(of: page) {
        let command = words.joined(separator: " ")
        do {
          switch words[0] {
          case "istbpf":
            _ = try Istbpf.parseAsRoot(Istbpf.optionsBehindCommand(Array(words.dropFirst())))
          case "istbpfd": _ = try IstbpfDaemon.parseAsRoot(Array(words.dropFirst()))
          default: continue
          }
          count += 1
        } catch {
          count += 1
          if !Self.isIncomplete(error) {
            Issue.record("\(page.path): \(command): \(Istbpf.message(for: error))")
          }
        }
      }
    }
    #expect(count > 100, "\(count)")
  }

  @Test("A command that does not exist, and an option that does not, are found")
  func mistyped() throws {
    for command in ["stauts", "status --no-such", "observe --denid", "runner lst", "ps --jsno"] {
      let error = #expect(throws: (any Error).self) {
        try Istbpf.parseAsRoot(command.split(separator: " ").map(String.init))
      }
      #expect(error.map(Self.isIncomplete) == false, "\(command)")
    }
  }

  @Test("What troubleshoot.md says of systemd and the kernel is about things that there are")
  func troubleshoot() throws {
    let page = try Page("Documentation/troubleshoot.md")
    var units = 0
    for words in Self.commands(of: page) {
      switch words[0] {
      case "systemctl":
        units += 1
        #expect(["start", "status", "unmask", "reload"].contains(words[1]), "\(words)")
        let unit = Page.root.appending(path: "Packaging/systemd/\(words[2]).service")
        #expect(FileManager.default.fileExists(atPath: unit.path), "\(words)")
      case "journalctl": #expect(words.prefix(3) == ["journalctl", "-u", "istbpfd"], "\(words)")
      case "modprobe": #expect(words[1] == "-a" && words.contains("tls"), "\(words)")
      default: break
      }
    }
    #expect(units >= 4)
  }

  /// The words of each span of code; of alternatives (`a|b`) the first.
  private static func commands(of page: Page) -> [[String]] {
    var isInBlock = false
    let text = page.text.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
      if line.hasPrefix("```") { isInBlock.toggle() }
      return !isInBlock && !line.hasPrefix("```")
    }.joined(separator: "\n")
    return text.matches(of: #/`([^`]+)`/#).compactMap { match in
      let words = match.1.split(whereSeparator: \.isWhitespace).filter { $0 != "..." && $0 != "…" }
        .prefix { $0 != "|" && $0 != ";" && $0 != "\\|" }
        // Of `a|b` the first, and without what may be left out: `[b]`.
        .map { String($0.split(separator: #/\\?\||\[/#)[0]) }
      return words.count > 1 ? words : nil
    }
  }

  /// Whether nothing is wrong but that arguments are left out, as where a text only names the command, or that one letter
  /// stands for a value.
  private static func isIncomplete(_ error: any Error) -> Bool {
    let message = Istbpf.message(for: error)
    return Istbpf.exitCode(for: error) == .success || message.hasPrefix("Missing expected argument")
      || message.hasPrefix("Missing value for")
      || message.contains(#/^The value '[A-Z]' is invalid/#)
  }
}
