extension ServiceName {
  /// What the name of every variable that holds a service's address begins with.
  public static let variablePrefix = "WARP_IST_"

  /// The variable that holds the service's address: `WARP_IST_` and the name as it is.
  public var variableName: String { Self.variablePrefix + rawValue }

  /// The same variable for programs that can name only shell identifiers, `_` in the place of each
  /// other character; nil where `variableName` is one already.
  public var shellVariableName: String? {
    variableName.isShellIdentifier ? nil : shellIdentifier
  }

  /// The one of the two that a shell can name.
  public var shellIdentifier: String {
    // By character, not by code point: the two ways of writing ä give one name.
    Self.variablePrefix + String(rawValue.map { $0.isShellIdentifierPart ? $0 : "_" })
  }
}

extension Character {
  fileprivate var isShellIdentifierPart: Bool {
    unicodeScalars.allSatisfy { $0.isASCIIAlphanumeric || $0 == "_" }
  }
}

extension String {
  /// Whether a POSIX shell takes this as the name of a variable (XBD 3.216).
  var isShellIdentifier: Bool {
    guard let first, !("0"..."9").contains(first) else { return false }
    return allSatisfy(\.isShellIdentifierPart)
  }
}
