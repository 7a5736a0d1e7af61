import Foundation

/// `Documentation/transparency.md`: every case, and every difference that is known.
///
/// It follows from the tables alone, since the suite fails where what is seen is not what they say.
struct Report {
  let table: Table

  static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Documentation/transparency.md").standardizedFileURL

  static var isToBeWritten: Bool {
    ProcessInfo.processInfo.environment["ISTBPF_WRITE_TABLE"] != nil
  }

  /// What the file is to say.
  var text: String { Self.introduction + differences + Self.explanations + cases }

  private var differences: String {
    var text = "\n## What differs\n\n| case | where | why |\n|---|---|---|\n"
    for each in table.cases {
      for one in table.known where one.key == each.key {
        let paths = one.paths.count > 1 ? "everywhere" : one.paths[0].rawValue
        let often = one.isCertain ? "" : ", sometimes"
        text += "| \(each.group): \(each.title) | \(paths)\(often) | \(one.reason) |\n"
      }
    }
    return text
  }

  private var cases: String {
    var text = ""
    var groups: [String] = []
    for each in table.cases where !groups.contains(each.group) { groups.append(each.group) }
    for group in groups {
      text += "\n## \(group)\n\n"
      for each in table.cases where each.group == group {
        let differs = Path.allCases.filter { !table.known(of: each, on: $0).isEmpty }
        let told =
          differs.isEmpty ? "" : " (differs: \(differs.map(\.rawValue).joined(separator: ", ")))"
        text += "- \(each.title)\(told)\n"
      }
    }
    return text
  }

  private static let introduction = """
    # What a program can tell

    `Tests/TransparencyTests` has two unmodified programs do each of these cases on three paths: *direct*,
    between two network namespaces that one veth joins; on *one runner*, as instances of two services; and
    *across runners*. Everything that they can observe is compared with direct: what each call returns and its
    errno, bytes, the order of bytes, end and reset, what poll and epoll report, addresses by their roles, options
    of sockets, and whether an answer came in time. `./Scripts/test transparent` does it in
    some two minutes, and fails where something differs that is not listed here, or no longer differs and is.
    `./Scripts/test transparent CASE...` does some, by the names of their classes in the programs;
    `./Scripts/test transparent --write` writes this page. `./Scripts/test transparent --vm [CASE...]` does the same on
    Linux 6.1 with kernel TLS, in a virtual machine.

    """

  private static let explanations = """

    ## What looks like a difference and is none

    - 500 connects at once to a listener with backlog 64 may give ECONNREFUSED to some. SYNs that its queue has no room
      for are sent again after 1 s, 3 s and so on; where the listener has been closed by then, they are refused. With one
      that closed after 0.9 s that were 91 to 135 of 500 direct, and 45 to 158 on one runner, in nine of ten rounds; with
      one that stays, none of 25,000 on each path.

    ## In the virtual machine

    On Linux 6.1 with kernel TLS, emulated, all cases were run once, in 47 minutes, and six did not come out as listed here.
    Across runners a writer with buffers of 8 KiB, whose reader does not read, had 1,900 KiB taken in, where direct has 1,024 at
    most; and where the wire was cut and mended again, a transfer and an end that were written meanwhile came to ECONNRESET:
    these three are open. So did the bytes of a writer without a timer; but there, and with the connect while the wire is cut,
    direct did not end in time either. The difference of the receive buffer that is made 4 KiB showed on neither path as it is
    listed. Other kernels have not been tried.

    """
}
