import ArgumentParser
import Dataplane

/// Dumps the pinned maps.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show the pinned BPF maps, decoded.",
    discussion: """
      Reads the kernel's maps themselves, so it works while istbpfd is down; which names the addresses of \
      `egress` have is what istbpfd last wrote down. Maps: \
      \(PinnedState.mapNames.joined(separator: ", ")). What each is for: bpf/maps.h.
      """)

  @Argument(help: "Only this map.")
  var map: String?

  @OptionGroup var output: OutputOptions
  @OptionGroup var tables: TableOptions
  @OptionGroup var options: InstallationOptions

  func run() throws {
    try failing {
      let state = try PinnedState(directory: options.chosen().pinDirectory)
      let names = SavedNames(directory: try options.chosen().namesDirectory)
      let dumps = try (map.map { [$0] } ?? PinnedState.mapNames).map {
        let dump = try state.dump($0)
        return names.added(to: ShownMap(map: dump.map, columns: dump.columns, rows: dump.rows))
      }
      if output.json {
        let maps = dumps.map { dump in
          (dump.map, dump.rows.map { Dictionary(uniqueKeysWithValues: zip(dump.columns, $0)) })
        }
        return try printJSON(Dictionary(uniqueKeysWithValues: maps))
      }
      for (index, dump) in dumps.enumerated() {
        if dumps.count > 1 { print(index > 0 ? "\n# \(dump.map)" : "# \(dump.map)") }
        tables.print(Table(dump.columns, rows: dump.rows))
      }
    }
  }
}
