import Foundation

/// Programs of `Programs` that tests run.
public enum TestProgram {
  /// The command of the Python program `name`.
  public static func python(_ name: String) -> [String] {
    let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Programs/\(name)")
    return ["/usr/bin/python3", program.path]
  }

  /// What stands before a command for it to run on a real terminal of so many columns.
  public static func terminal(columns: Int) -> [String] { python("terminal.py") + ["\(columns)"] }
}
