import TOMLKit

/// containerd's config.toml, for its CRI plugin.
///
/// A file of our own beside it would not do: containerd 1.6 takes the whole table of a plugin from the last file that
/// has it. So the text is edited: a block of ours at the end, and one line where the default is set. It is parsed before
/// and after, so that what the editor does not understand is refused, and the way back is checked.
struct ContainerdConfiguration: RuntimeEditor {
  func adding(_ runtime: RuntimeEntry, to text: String?) throws(ConfigurationProblem) -> String? {
    let old = try removing(from: text) ?? Self.fresh
    let table = try Self.parse(old)
    let plugin = try Self.plugin(of: table)
    let containerd = table["plugins"]?.table?[plugin]?.table?["containerd"]?.table
    if containerd?["runtimes"]?.table?[RuntimeEntry.name] != nil {
      throw ConfigurationProblem(
        "it has a runtime \(RuntimeEntry.name) that istbpf runtime configure did not write: take it out first"
      )
    }
    let options = containerd?["runtimes"]?.table?["runc"]?.table?["options"]?.table
    var block = """
      \(Self.begin)
      [plugins."\(plugin)".containerd.runtimes.\(RuntimeEntry.name)]
      runtime_type = "io.containerd.runc.v2"
      pod_annotations = ["io.istbpf.*"]
      container_annotations = ["io.istbpf.*"]

      [plugins."\(plugin)".containerd.runtimes.\(RuntimeEntry.name).options]
      BinaryName = \(quotedTOML(runtime.path))

      """
    // Engine and runtime must agree on who makes cgroups.
    if options?["SystemdCgroup"]?.bool == true { block += "SystemdCgroup = true\n" }
    var new = old
    if runtime.isDefault {
      let table = ["plugins", plugin, "containerd"]
      if let edited = Self.settingDefault(in: old, table) {
        new = edited
      } else if containerd?["default_runtime_name"] == nil {
        block +=
          "\n[plugins.\"\(plugin)\".containerd]\n\(Self.defaultKey) = \"\(RuntimeEntry.name)\"\n"
      } else {
        throw ConfigurationProblem(
          "\(Self.defaultKey) is set in a form that cannot be edited here: set it to \"\(RuntimeEntry.name)\" "
            + "yourself, and leave --default out")
      }
    }
    if let last = new.last, last != "\n" { new += Self.unterminated }
    new += block + Self.end
    try check(new, runtime, plugin, from: old)
    return new
  }

  func removing(from text: String?) throws(ConfigurationProblem) -> String? {
    guard let text else { return nil }
    _ = try Self.parse(text)
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if let first = lines.firstIndex(of: Self.begin) {
      guard let last = lines[first...].firstIndex(of: String(Self.end.dropLast())) else {
        throw ConfigurationProblem(
          "the line \"\(Self.begin)\" has no end: take out yourself what follows it")
      }
      lines.removeSubrange(first...last)
    }
    lines = lines.compactMap { line in
      guard let mark = line.range(of: Self.mark) else { return line }
      let before = line[mark.upperBound...]
      return before == Self.unset ? nil : String(before)
    }
    var result = lines.joined(separator: "\n")
    if result.hasSuffix(Self.unterminated) { result.removeLast(Self.unterminated.count) }
    return result == Self.fresh ? nil : result
  }

  /// A file that was not there before.
  private static let fresh = "# istbpf: made by istbpf runtime configure\nversion = 2\n"
  private static let begin =
    "# istbpf: begin (istbpf runtime configure --engine containerd --undo removes this)"
  private static let end = "# istbpf: end\n"
  /// What ends a last line that had no end.
  private static let unterminated = " # istbpf: no end of line before\n"
  /// Before the line that was there before ours.
  private static let mark = " # istbpf: before: "
  private static let unset = "nothing"
  private static let defaultKey = "default_runtime_name"

  private static func parse(_ text: String) throws(ConfigurationProblem) -> TOMLTable {
    do { return try TOMLTable(string: text) } catch {
      throw ConfigurationProblem("it is no TOML: \(error)")
    }
  }

  /// The name of the CRI plugin in that version of the file.
  private static func plugin(of table: TOMLTable) throws(ConfigurationProblem) -> String {
    switch table["version"]?.int {
    case 2: return "io.containerd.grpc.v1.cri"
    case 3: return "io.containerd.cri.v1.runtime"
    case let version:
      throw ConfigurationProblem(
        "its version is \(version ?? 1), and only 2 and 3 can be edited: containerd config migrate prints it in a newer one"
      )
    }
  }

  /// `text` with the default set in the table, whose header is a line of its own; nil where there is none.
  private static func settingDefault(in text: String, _ table: [String]) -> String? {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let ours = "\(defaultKey) = \"\(RuntimeEntry.name)\"\(mark)"
    var header: Int?
    for (number, line) in lines.enumerated() {
      if let name = tableName(line) {
        if header != nil { break }
        if name == table { header = number }
      } else if header != nil, line.drop(while: \.isWhitespace).hasPrefix(defaultKey) {
        lines[number] = ours + line
        return lines.joined(separator: "\n")
      }
    }
    guard let header else { return nil }
    lines.insert(ours + unset, at: header + 1)
    return lines.joined(separator: "\n")
  }

  /// The parts of a table's header, `[a."b.c".d]`; nil for any other line.
  private static func tableName(_ line: String) -> [String]? {
    let trimmed = line.drop(while: \.isWhitespace)
    guard trimmed.first == "[" else { return nil }
    var (parts, part, quote) = ([String](), "", Character?.none)
    for character in trimmed.dropFirst() {
      switch (character, quote) {
      case (let end, let quote?) where end == quote: break
      case (_, _?):
        part.append(character)
        continue
      case ("]", nil):
        parts.append(part)
        return parts
      case (".", nil):
        parts.append(part)
        part = ""
      case ("\"", nil), ("'", nil):
        quote = character
        continue
      case (_, nil):
        if !character.isWhitespace { part.append(character) }
      }
      quote = nil
    }
    return nil
  }

  /// The result is TOML that says what is meant, and the way back leads to the same text.
  private func check(
    _ new: String, _ runtime: RuntimeEntry, _ plugin: String, from old: String
  ) throws(ConfigurationProblem) {
    func refuse(_ reason: String) -> ConfigurationProblem {
      ConfigurationProblem(
        "it has a form that cannot be edited here\(reason); Documentation/containers.md says what to add"
      )
    }
    let table: TOMLTable
    do { table = try TOMLTable(string: new) } catch { throw refuse(" (\(error))") }
    let containerd = table["plugins"]?.table?[plugin]?.table?["containerd"]?.table
    let entry = containerd?["runtimes"]?.table?[RuntimeEntry.name]?.table
    guard entry?["options"]?.table?["BinaryName"]?.string == runtime.path,
      !runtime.isDefault || containerd?[Self.defaultKey]?.string == RuntimeEntry.name,
      try removing(from: new) ?? Self.fresh == old
    else { throw refuse("") }
  }
}
