import Foundation

/// `Documentation/container-options.md`: every option, what is decided of it, and with which engines it was
/// tried. A run writes its own engine's column and keeps the others'; with `ISTBPF_WRITE_TABLE` set, to the
/// file itself.
struct OptionReport {
  static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Documentation/container-options.md").standardizedFileURL

  static var isToBeWritten: Bool {
    ProcessInfo.processInfo.environment["ISTBPF_WRITE_TABLE"] != nil
  }

  /// What an engine that has no such option has in its column.
  static let none = "-"

  /// Writes what came of each option, by its title, with the engine that has the heading `engine`.
  static func write(_ outcomes: [String: String], of engine: String) throws {
    var columns = columns(of: (try? String(contentsOf: file, encoding: .utf8)) ?? "")
    // Another version of it was tried before.
    let name = engine.prefix { $0 != " " }
    columns = columns.filter { !$0.key.hasPrefix(name + " ") }
    columns[engine] = outcomes
    try text(columns).write(to: file, atomically: false, encoding: .utf8)
  }

  /// What the file lacks or has too much; nothing where it is as it would be written.
  static func difference() throws -> [String] {
    let written = try String(contentsOf: file, encoding: .utf8)
    let columns = columns(of: written)
    let titles = Set(ContainerOption.all.map(title))
    var found = columns.flatMap { engine, cells in
      titles.symmetricDifference(cells.keys).map { "\($0), \(engine)" }
        + cells.filter(\.value.isEmpty).map { "\($0.key), \(engine): nothing" }
    }
    if columns.count != 3 { found.append("\(columns.keys.sorted())") }
    if found.isEmpty, text(columns) != written { found.append("another text") }
    return found.sorted()
  }

  static func title(_ option: ContainerOption) -> String {
    "\(option.group.rawValue): \(option.title)"
  }

  private static func text(_ columns: [String: [String: String]]) -> String {
    let engines = columns.keys.sorted { $0.lowercased() > $1.lowercased() }
    var text = introduction
    for group in ContainerOption.Group.allCases {
      text +=
        "\n## \(group.rawValue)\n\n| option | decision | \(engines.joined(separator: " | ")) |\n"
      text += String(repeating: "|---", count: engines.count + 2) + "|\n"
      for option in ContainerOption.all where option.group == group {
        let cells = engines.map { columns[$0]?[title(option)] ?? "" }
        text += "| \(option.title) | \(option.words) | \(cells.joined(separator: " | ")) |\n"
      }
    }
    return text
  }

  /// By engine and by option, what the file says.
  private static func columns(of text: String) -> [String: [String: String]] {
    var columns: [String: [String: String]] = [:]
    var engines: [String] = []
    var group = ""
    for line in text.split(separator: "\n") {
      if line.hasPrefix("## ") { group = String(line.dropFirst(3)) }
      guard line.hasPrefix("| ") else { continue }
      let words = line.dropFirst().dropLast().split(
        separator: "|", omittingEmptySubsequences: false
      )
      .map { $0.trimmingCharacters(in: .whitespaces) }
      if words.first == "option" {
        engines = Array(words.dropFirst(2))
      } else {
        for (engine, cell) in zip(engines, words.dropFirst(2)) {
          columns[engine, default: [:]]["\(group): \(words[0])"] = cell
        }
      }
    }
    return columns
  }

  private static let introduction = """
    # Options of containers

    By an option a container can share something with the host or with another container, or have something
    of the host's. For each of them it is decided: the container is **refused** with a clear line, or it is made
    and the option does no harm, for the reason that the table says. `Tests/OCIRuntimeTests` tries each with each
    engine that has it, and writes this file (`./Scripts/test isolation --write`): refused means that the engine
    showed the words in the table; where the container was made, a program in it tried to leave the instance by
    everything that it could reach (the cgroups that it sees, `/proc/PID/root` of every process as that one's
    user, the kernel's settings, raw, packet and vsock sockets, another's socket on its loopback), and its
    connect to an address outside ended with `EPERM` after that.

    What counts is what the kernel made of the options, not their words: the daemon compares the namespaces of
    the container's first process with those of all others, and the hook looks at the mounts that this process
    sees, before anything of the image runs. So a link, a parent directory or a path to a namespace is no way
    round. A namespace of time has no row: runc 1.1 knows none, and it holds nothing but clocks.

    """
}
