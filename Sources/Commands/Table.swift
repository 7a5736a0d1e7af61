/// Rows in aligned columns, as people read them.
struct Table {
  let columns: [String]
  var rows: [[String]] = []

  init(_ columns: [String], rows: [[String]] = []) {
    self.columns = columns
    self.rows = rows
  }

  /// The text, headings in capitals, without spaces at the ends of lines.
  var text: String {
    let lines = [columns.map { $0.uppercased() }] + rows
    let widths = columns.indices.map { column in
      lines.map { $0[column].count }.max() ?? 0
    }
    return lines.map { line in
      var text = ""
      for (cell, width) in zip(line, widths) {
        text += cell + String(repeating: " ", count: width - cell.count + 2)
      }
      return String(text.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }
}
