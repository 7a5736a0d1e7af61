/// A `warp.config.json` that declares no service.
public struct InvalidDeclaration: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file, as the caller named it.
  public let file: String

  /// The key whose value is wrong, such as `deployment.port`; nil where it is the file as a whole.
  public let key: String?

  /// What is wrong, and what would be right.
  public let reason: String

  init(_ file: String, key: String?, _ reason: String) {
    self.file = file
    self.key = key
    self.reason = reason
  }

  /// What to tell people.
  public var description: String { "\(file): \(key.map { "\($0): " } ?? "")\(reason)" }
}
