import Foundation
import LinuxSystem

/// `Documentation/isolation.md`: every row, with what came of it on each kernel that was tried.
///
/// A run writes its own kernel's columns and keeps the others'; with `ISTBPF_WRITE_TABLE` set, to the file
/// itself.
struct Report {
  private let results: [RowResult]
  /// What stands above this kernel's columns.
  private let kernel: String

  static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Documentation/isolation.md").standardizedFileURL

  init(_ results: [RowResult], _ release: KernelRelease) throws {
    self.results = results
    let isPure = try CgroupHierarchy.find().mountPoint == "/sys/fs/cgroup"
    kernel =
      "Linux \(release.major).\(release.minor), \(isPure ? "pure cgroup2" : "hybrid cgroups")"
  }

  static var isToBeWritten: Bool {
    ProcessInfo.processInfo.environment["ISTBPF_WRITE_TABLE"] != nil
  }

  /// Whether a row of one runner is tried: all are, unless `ISTBPF_BYPASS_ROWS` names programs of some, such as
  /// `tcp.metadata,tcp.other_port`. The others keep what the file says of them.
  static func chooses(_ row: Row) -> Bool {
    guard let names = ProcessInfo.processInfo.environment["ISTBPF_BYPASS_ROWS"] else { return true }
    return names.split(separator: ",").contains { $0 == row.program }
  }

  /// Writes the file anew.
  func write() throws {
    var cells = Self.cells(of: (try? String(contentsOf: Self.file, encoding: .utf8)) ?? "")
    for result in results { cells[kernel, default: [:]][Self.title(result.row)] = cell(result) }
    try text(cells).write(to: Self.file, atomically: false, encoding: .utf8)
  }

  /// The rows that the file has and the table has not, or the other way round.
  static func difference() throws -> [String] {
    let text = try String(contentsOf: file, encoding: .utf8)
    let written = Set(cells(of: text).values.flatMap(\.keys))
    return written.symmetricDifference(Row.every.map(title)).sorted()
  }

  /// The kernels' cells that are empty.
  static func gaps() throws -> [String] {
    let text = try String(contentsOf: file, encoding: .utf8)
    return cells(of: text).flatMap { kernel, cells in
      cells.filter(\.value.isEmpty).map { "\($0.key) on \(kernel)" }
    }.sorted()
  }

  private static func title(_ row: Row) -> String {
    let side =
      row.side == .container || row.attempt.contains("from") ? "" : " (\(row.side.rawValue))"
    return row.attempt.replacing("|", with: "/") + side
  }

  /// What came of a row: the answer, and the layers of which each would do.
  private func cell(_ result: RowResult) -> String {
    let answer = result.outcomes[.all].map { Self.words($0.answer) } ?? ""
    guard result.outcomes[.all]?.isStopped == true else { return "**not stopped**: \(answer)" }
    if !result.isPossible { return "\(answer): this kernel has none" }
    if case .structure(let reason) = result.row.proof { return "\(answer): \(reason)" }
    let layers = result.stoppedAloneBy.map(\.rawValue)
    let needed = Layer.allCases.filter { result.outcomes[.without($0)]?.isStopped == false }
      .filter { !layers.contains($0.rawValue) }.map { "with \($0.rawValue)" }
    return "\(answer): \((layers + needed).joined(separator: ", "))"
  }

  private static func words(_ answer: String) -> String {
    answer.hasPrefix("breach: ")
      ? String(answer.dropFirst(8)) : answer == "done" ? "nothing" : answer
  }

  private func text(_ cells: [String: [String: String]]) -> String {
    let kernels = cells.keys.sorted { $0.compare($1, options: .numeric) == .orderedDescending }
    var text = Self.introduction
    for group in Row.Group.allCases {
      text += "\n## \(group.rawValue)\n\n| attempt | \(kernels.joined(separator: " | ")) |\n"
      text += String(repeating: "|---", count: kernels.count + 1) + "|\n"
      for row in Row.every where row.group == group {
        let title = Self.title(row)
        let columns = kernels.map { cells[$0]?[title] ?? "" }
        text += "| \(title) | \(columns.joined(separator: " | ")) |\n"
      }
      let alone = Row.every.filter { $0.group == group && $0.alone != nil }
      for row in alone { text += "\nOne layer alone, \(row.attempt): \(row.alone ?? "").\n" }
    }
    return text
  }

  /// By kernel and by row, what the file says.
  private static func cells(of text: String) -> [String: [String: String]] {
    var cells: [String: [String: String]] = [:]
    var kernels: [String] = []
    for line in text.split(separator: "\n") where line.hasPrefix("| ") {
      let words = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      if words.first == "attempt" {
        kernels = Array(words.dropFirst())
      } else {
        for (kernel, cell) in zip(kernels, words.dropFirst()) {
          cells[kernel, default: [:]][words[0]] = cell
        }
      }
    }
    return cells
  }

  private static let introduction = """
    # The bypass table

    What a hostile container, with uid 0 and all that `istbpf run` leaves it, and hostile neighbours try,
    and what comes of it. `Tests/IsolationTests` makes every attempt, looks at the receiving side for
    whatever arrives, and writes this file: `./Scripts/test isolation --write` makes all of them here and on
    Linux 6.1 in a virtual machine, each with its own column. "Between two runners" is with two daemons, etcd
    and tunnels; there every row of a container is tried as well against a victim on the other runner.
    Every row of the other sections is tried as well from and into a container of podman, of Docker and of containerd.

    A cell is what the program is told (an errno; `timeout`; `nothing`, where it learns nothing), and then
    each layer that stops the attempt **by itself**, with all others taken away. Without any layer each attempt
    arrives, unless the cell says what else stops it; so none passes the test because it could not have
    worked. No TCP, UDP, raw or packet socket depends on one layer.

    | layer | what it is |
    |---|---|
    | hooks | BPF at connect, sendmsg, socket creation and setsockopt, on the instance's cgroup |
    | packets | `cgroup_skb`, both ways |
    | lookup | `sk_lookup` in the instance's network namespace |
    | switch | tc on the fabric's end of the instance's link |
    | seccomp | the filter of socket families, io_uring and socketcall |
    | capabilities | those of `istbpf run`: without NET_RAW, NET_ADMIN, SYS_ADMIN, SYS_PTRACE and others |
    | sandbox | mounts that hide or protect, the cgroup namespace, the Landlock domain |

    """
}
