/// A name that cannot be used, with the rule that it breaks and what most likely went wrong.
public struct InvalidName: Error, Hashable, Sendable {
  /// What the name was to name.
  public enum Subject: String, Hashable, Sendable {
    case deployment
    case service
    case installation
  }

  /// What the name was to name.
  public let subject: Subject

  /// The name as it was given, whole.
  public let name: String

  /// The rule that `name` breaks, as the end of a sentence that starts with "it must".
  public let rule: String

  /// What about `name` breaks the rule, and where that usually comes from.
  public let cause: String

  init(_ subject: Subject, _ name: String, must rule: String, cause: String) {
    self.subject = subject
    self.name = name
    self.rule = rule
    self.cause = cause
  }
}

extension InvalidName: CustomStringConvertible {
  /// What to tell people.
  public var description: String {
    "\(quoted(name)) is no name for a \(subject.rawValue): it must \(rule); \(cause)"
  }
}

/// `text` between quotes for a message: control characters escaped, and cut where it is long.
///
/// What was typed may hold escape sequences for the terminal that shows the message, and may be
/// longer than a message should be.
public func quoted(_ text: String) -> String {
  let limit = 48
  let count = text.unicodeScalars.count
  let shown = text.unicodeScalars.prefix(limit).map(escaped).joined()
  return count > limit ? "\"\(shown)…\" (\(count) characters)" : "\"\(shown)\""
}

/// `scalar` as a message shows it: invisible ones as `\u{...}`.
func escaped(_ scalar: Unicode.Scalar) -> String {
  switch scalar.properties.generalCategory {
  case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
    "\\u{\(String(scalar.value, radix: 16))}"
  default: scalar == "\"" || scalar == "\\" ? "\\\(scalar)" : String(scalar)
  }
}
