/// A variable that a text of variables cannot hold.
public struct UnrenderableVariable: Error, Hashable, Sendable, CustomStringConvertible {
  /// The variable.
  public let variable: EnvironmentVariable

  /// What to tell people.
  public var description: String {
    "variable \(quoted(variable.name)) with the value \(quoted(variable.value)) cannot be written: "
      + "a name is not empty and has no \"=\", and neither part has a line break or NUL"
  }
}

extension Sequence<EnvironmentVariable> {
  /// Lines of `export NAME='value'` for a POSIX shell to evaluate.
  ///
  /// A name that is no shell identifier is left out, since its second form is among the variables.
  ///
  /// - Throws: `UnrenderableVariable` for a line break or NUL.
  public func shellText() throws(UnrenderableVariable) -> String {
    var text = ""
    for variable in self {
      try variable.check()
      guard variable.name.isShellIdentifier else { continue }
      // Nothing is special between single quotes but the quote, which has to stand outside them. By
      // code point: a quote with a combining mark is another Character, but the shell sees the quote.
      let value = variable.value.unicodeScalars.map { $0 == "'" ? "'\\''" : String($0) }.joined()
      text += "export \(variable.name)='\(value)'\n"
    }
    return text
  }

  /// Lines of `NAME=value` as `--env-file` of podman and Docker reads them: a value is everything up
  /// to the line's end, quotes included.
  ///
  /// - Throws: `UnrenderableVariable` for a line break or NUL, for which the form has no escape.
  public func environmentFileText() throws(UnrenderableVariable) -> String {
    var text = ""
    for variable in self {
      try variable.check()
      text += "\(variable.name)=\(variable.value)\n"
    }
    return text
  }
}

extension EnvironmentVariable {
  fileprivate func check() throws(UnrenderableVariable) {
    let breaks: Set<Unicode.Scalar> = ["\0", "\n", "\r"]
    guard !name.isEmpty, !name.unicodeScalars.contains("="),
      !name.unicodeScalars.contains(where: breaks.contains),
      !value.unicodeScalars.contains(where: breaks.contains)
    else { throw UnrenderableVariable(variable: self) }
  }
}
