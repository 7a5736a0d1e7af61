import Foundation

/// What stands before a command for it to run on a real terminal (`Programs/terminal.py`).
public enum TestTerminal {
  /// The command that gives the one after it a terminal of so many columns.
  public static func wrapper(columns: Int) -> [String] {
    let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Programs/terminal.py")
    return ["python3", program.path, "\(columns)"]
  }
}
