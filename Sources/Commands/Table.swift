import ArgumentParser

/// Rows in aligned columns, as people read them.
struct Table {
  let columns: [String]
  var rows: [[String]] = []
  /// Lines below it.
  var notes: [String] = []
  /// How a cell looks, by its column and its whole text.
  var style: (_ column: String, _ cell: String) -> Terminal.Style? = { _, _ in nil }

  init(_ columns: [String], rows: [[String]] = []) {
    self.columns = columns
    self.rows = rows
  }

  /// The text, headings in capitals, without spaces at the ends of lines. Cells are cut, the longest first,
  /// where `terminal` is too narrow for them.
  func text(on terminal: Terminal) -> String {
    let lines = [columns.map { $0.uppercased() }] + rows
    let widths = fitted(
      columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }, terminal.width)
    let shown = lines.enumerated().map { number, line in
      let last = line.lastIndex { !$0.isEmpty } ?? 0
      return columns.indices.prefix(last + 1).map { column in
        let (cell, width) = (line[column], widths[column])
        let shown = cell.count > width ? cell.prefix(width - 1) + "…" : cell
        let padding = column == last ? "" : String(repeating: " ", count: width - shown.count + 2)
        return terminal.styled(shown, number == 0 ? nil : style(columns[column], cell)) + padding
      }.joined()
    }
    return (shown + notes).joined(separator: "\n")
  }

  /// What a column keeps, so that one knows what is in it.
  private static let least = 8

  /// `widths`, of which the greatest are made smaller until all have room in `total` with two spaces between.
  private func fitted(_ widths: [Int], _ total: Int?) -> [Int] {
    guard let total else { return widths }
    var widths = widths
    let room = total - 2 * (widths.count - 1)
    while widths.reduce(0, +) > room {
      let mayShrink = widths.indices.filter { widths[$0] > max(Self.least, columns[$0].count) }
      guard let widest = mayShrink.max(by: { widths[$0] < widths[$1] }) else { break }
      widths[widest] -= 1
    }
    return widths
  }
}

/// The option of every command that prints tables.
struct TableOptions: ParsableArguments {
  @Flag(help: "Do not cut what is too long for the terminal.")
  var wide = false

  /// Prints a table for whoever reads standard output.
  func print(_ table: Table) { Swift.print(text(of: table, on: .standardOutput())) }

  /// A table for `terminal`.
  func text(of table: Table, on terminal: Terminal) -> String {
    table.text(on: wide ? Terminal(width: nil, hasColour: terminal.hasColour) : terminal)
  }
}
