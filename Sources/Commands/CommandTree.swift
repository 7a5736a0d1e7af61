import Foundation

/// A command with what it takes, as the argument parser itself describes it.
///
/// The description costs milliseconds, so it is asked for only where a command line is not what the parser
/// takes as it is.
struct CommandTree: Decodable {
  let commandName: String
  let subcommands: [CommandTree]?
  let arguments: [Argument]?

  /// An option, a flag or a positional argument.
  struct Argument: Decodable {
    struct Name: Decodable {
      let kind: String
      let name: String
      /// As it is typed.
      var typed: String { kind == "long" ? "--\(name)" : "-\(name)" }
    }

    /// `option` has a value, `flag` none.
    let kind: String
    let shouldDisplay: Bool
    let names: [Name]?
  }

  private struct Tool: Decodable { let command: CommandTree }

  /// The tree of the whole program.
  static let istbpf = try? JSONDecoder().decode(Tool.self, from: Data(Istbpf._dumpHelp().utf8))
    .command

  /// What the parser itself adds to the root.
  private static let added = ["help"]

  /// Those that are commands of this program, with a name.
  var commands: [CommandTree] {
    (subcommands ?? []).filter { !Self.added.contains($0.commandName) }
  }

  /// The subcommand called `name`.
  func command(_ name: String) -> CommandTree? { commands.first { $0.commandName == name } }

  /// The option or flag that is typed so, of this command.
  func argument(typed: String) -> Argument? {
    arguments?.first { $0.names?.contains { $0.typed == typed } ?? false }
  }

  /// The option or flag that is typed so, of this command or any below it.
  func argumentBelow(typed: String) -> Argument? {
    argument(typed: typed) ?? commands.lazy.compactMap { $0.argumentBelow(typed: typed) }.first
  }

  /// The names of options, of this command and all below it, as they are typed.
  var optionsBelow: [String] {
    let own = (arguments ?? []).filter(\.shouldDisplay).flatMap { ($0.names ?? []).map(\.typed) }
    return own + commands.flatMap(\.optionsBelow)
  }

  /// The paths to commands called `name` that are below this one: `["runtime", "configure"]`.
  func paths(to name: String) -> [[String]] {
    commands.flatMap { command in
      (command.commandName == name ? [[name]] : [])
        + command.paths(to: name).map { [command.commandName] + $0 }
    }
  }
}
