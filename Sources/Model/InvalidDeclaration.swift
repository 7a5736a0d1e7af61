/// A `warp.config.json` that declares no service.
public struct InvalidDeclaration: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file, as the caller named it.
  public let file: String

  /// The line of the value, from 1; nil where it is not known, or it is the file as a whole.
  public let line: Int?

  /// The key whose value is wrong, such as `deployment.port`; nil where it is the file as a whole.
  public let key: String?

  /// What is wrong, and what would be right.
  public let reason: String

  init(_ file: String, line: Int? = nil, key: String?, _ reason: String) {
    self.file = file
    self.line = line
    self.key = key
    self.reason = reason
  }

  /// What to tell people.
  public var description: String {
    "\(file)\(line.map { ":\($0)" } ?? ""): \(key.map { "\($0): " } ?? "")\(reason)"
  }
}
