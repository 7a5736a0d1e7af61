import ArgumentParser
import Foundation
import Model

extension Istbpf {
  /// The command that a command line asks for; ends the process where there is none, with what was most
  /// likely meant.
  ///
  /// The parser takes options behind the command alone. Here they may stand before it: `istbpf -d shop ps`.
  public static func parsed(_ arguments: [String]) -> any ParsableCommand {
    let arguments = optionsBehindCommand(arguments)
    do {
      if arguments.first == "help",
        let mistake = CommandLineMistake(arguments.dropFirst(), isHelp: true)
      {
        mistake.exit()
      }
      return try parseAsRoot(arguments)
    } catch {
      if exitCode(for: error) == .validationFailure,
        let mistake = CommandLineMistake(arguments[...])
      {
        mistake.exit()
      }
      exit(withError: error)
    }
  }

  /// The same command line, with what stands before a command, or between it and its subcommand, behind it.
  static func optionsBehindCommand(_ arguments: [String]) -> [String] {
    guard let first = arguments.first, first.hasPrefix("-") || hasSubcommands(first),
      let root = CommandTree.istbpf
    else { return arguments }
    var node = root
    var (path, options): ([String], [String]) = ([], [])
    var rest = arguments[...]
    while !node.commands.isEmpty, let next = rest.first {
      if !next.hasPrefix("-") {
        // Then there is no such command, and that is what will be said.
        guard let command = node.command(next) else { return path + rest + options }
        node = command
        path.append(next)
        rest = rest.dropFirst()
        continue
      }
      // What the parser itself takes there, such as --help and --version, is left where it is.
      let name = String(next.prefix { $0 != "=" })
      guard node.argument(typed: name) == nil,
        let known = node.commands.lazy.compactMap({ $0.argumentBelow(typed: name) }).first
      else { break }
      let takesNext = known.kind == "option" && name == next
      options += rest.prefix(takesNext ? 2 : 1)
      rest = rest.dropFirst(takesNext ? 2 : 1)
    }
    return path + options + rest
  }

  private static func hasSubcommands(_ name: String) -> Bool {
    configuration.subcommands.contains {
      $0.configuration.commandName == name && !$0.configuration.subcommands.isEmpty
    }
  }
}

/// The word of a command line that is no command or option, and what it was most likely meant to be.
struct CommandLineMistake {
  let message: String
  /// The command whose word it is, as it is typed.
  let command: String

  /// The first mistake of `arguments`; nil where every word is known, so that something else is wrong.
  init?(_ arguments: ArraySlice<String>, isHelp: Bool = false) {
    guard let root = CommandTree.istbpf else { return nil }
    var node = root
    var path = [root.commandName]
    var rest = arguments
    while let word = rest.popFirst(), word != "--" {
      if word.hasPrefix("-"), word != "-" {
        let name = String(word.prefix { $0 != "=" })
        if !word.hasPrefix("--"), node.argument(typed: "-" + name) != nil {
          command = path.joined(separator: " ")
          message = "Unknown option '\(name)'. Did you mean '-\(name)'?"
          return
        }
        // Short options may be written with their value, or several in one.
        let short = String(word.prefix(2))
        if let known = node.argument(typed: name)
          ?? (word.hasPrefix("--") ? nil : node.argument(typed: short))
        {
          if known.kind == "option", name == word, node.argument(typed: name) != nil {
            rest = rest.dropFirst()
          }
          continue
        }
        // The parser's own, which it does not describe.
        if ["--generate-completion-script", "--experimental-dump-help", "--help-hidden"].contains(
          name)
        {
          return nil
        }
        command = path.joined(separator: " ")
        message = "Unknown option '\(name)'" + Self.hint(option: name, of: node, command)
        return
      }
      guard !node.commands.isEmpty else {
        guard isHelp else { continue }
        return nil
      }
      guard let next = node.command(word) else {
        command = path.joined(separator: " ")
        message = "Unknown command '\(word)'" + Self.hint(command: word, of: node, command)
        return
      }
      node = next
      path.append(word)
    }
    return nil
  }

  private static func hint(option: String, of node: CommandTree, _ command: String) -> String {
    let options = node.optionsBelow.filter { $0.hasPrefix("--") } + ["--help"]
    let bare = String(option.drop { $0 == "-" })
    // Half an option is one too, if there is only one such.
    let begun = Set(options.filter { bare.count > 2 && $0.hasPrefix("--\(bare)") })
    if let near = nearest(to: bare, among: options.map { String($0.dropFirst(2)) }).map({
      "--\($0)"
    })
      ?? (begun.count == 1 ? begun.first : nil)
    {
      return ". Did you mean '\(near)'?"
    }
    guard node.commands.isEmpty, CommandTree.istbpf?.argumentBelow(typed: option) != nil else {
      return ""
    }
    return ": '\(command)' has none such"
  }

  private static func hint(command word: String, of node: CommandTree, _ command: String) -> String
  {
    if let near = nearest(to: word, among: node.commands.map(\.commandName)) {
      return ". Did you mean '\(command) \(near)'?"
    }
    let elsewhere = CommandTree.istbpf?.paths(to: word) ?? []
    if !elsewhere.isEmpty {
      let names = elsewhere.map { "'istbpf \($0.joined(separator: " "))'" }
      return ". Did you mean \(names.joined(separator: " or "))?"
    }
    return "; there are \(node.commands.map(\.commandName).joined(separator: ", "))"
  }

  /// Says it as the parser says what it finds, and ends the process with the parser's status.
  func exit() -> Never {
    let usage = CommandTree.istbpf.map { tree in
      command.split(separator: " ").dropFirst().reduce(tree) { $0.command(String($1)) ?? $0 }
    }
    let arguments = usage?.commands.isEmpty == false ? "<subcommand>" : "[<options>]"
    printError(
      "Error: \(message)\nUsage: \(command) \(arguments)\n  See '\(command) --help' for more information."
    )
    Foundation.exit(ExitCode.validationFailure.rawValue)
  }
}
