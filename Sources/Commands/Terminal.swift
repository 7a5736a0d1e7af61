import Foundation
import Glibc

/// What standard output is, for who prints for people.
struct Terminal {
  /// Columns; nil where lines may have any length, as in a file.
  let width: Int?
  /// Lines; nil where there is no end of them.
  var height: Int?
  /// Whether it shows colours and its user wants them.
  let hasColour: Bool

  /// No terminal: a file, a pipe.
  static let none = Terminal(width: nil, hasColour: false)

  /// Standard output's, as it is now. COLUMNS and LINES go over the size that the terminal says that it has; NO_COLOR
  /// with any value, and a terminal that is `dumb`, have no colours (no-color.org).
  static func standardOutput(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> Terminal {
    guard isatty(STDOUT_FILENO) == 1 else { return .none }
    let isPlain = environment["NO_COLOR"]?.isEmpty == false || environment["TERM"] == "dumb"
    var size = winsize()
    let isKnown = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0
    func number(_ name: String, _ own: UInt16) -> Int? {
      environment[name].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
        ?? (isKnown && own > 0 ? Int(own) : nil)
    }
    return Terminal(
      width: number("COLUMNS", size.ws_col), height: number("LINES", size.ws_row),
      hasColour: !isPlain)
  }

  /// How a text looks.
  enum Style: Int {
    case red = 31
    case green = 32
    case yellow = 33
  }

  /// `text` in a style, where there are colours.
  func styled(_ text: String, _ style: Style?) -> String {
    guard hasColour, let style, !text.isEmpty else { return text }
    return "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m"
  }
}
