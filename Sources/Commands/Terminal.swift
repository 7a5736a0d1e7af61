import Foundation
import Glibc

/// What standard output is, for who prints for people.
struct Terminal {
  /// Columns; nil where lines may have any length, as in a file.
  let width: Int?
  /// Whether it shows colours and its user wants them.
  let hasColour: Bool

  /// No terminal: a file, a pipe.
  static let none = Terminal(width: nil, hasColour: false)

  /// Standard output's, as it is now. COLUMNS goes over the size that the terminal says that it has; NO_COLOR
  /// with any value, and a terminal that is `dumb`, have no colours (no-color.org).
  static func standardOutput(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> Terminal {
    guard isatty(STDOUT_FILENO) == 1 else { return .none }
    let isPlain = environment["NO_COLOR"]?.isEmpty == false || environment["TERM"] == "dumb"
    return Terminal(
      width: environment["COLUMNS"].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil } ?? size(),
      hasColour: !isPlain)
  }

  private static func size() -> Int? {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
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
