/// The name of a deployment: 1 to 63 of `a-z A-Z 0-9 - _ .`, a letter or digit at both ends.
///
/// So it can be a file's name, part of a cgroup's and of a network namespace's as it is: it holds
/// no `/`, is never `.` or `..`, and is never taken for an option.
public struct DeploymentName: Hashable, Sendable {
  /// The most characters that a name may have.
  public static let maximumLength = 63

  /// The name.
  public let rawValue: String

  /// The deployment's name that `text` is.
  ///
  /// - Throws: `InvalidName` with the rule that `text` breaks.
  public init(_ text: String) throws(InvalidName) {
    func refuse(_ rule: String, _ cause: String) -> InvalidName {
      InvalidName(.deployment, text, must: rule, cause: cause)
    }
    guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else {
      throw refuse("not be empty", "a variable that holds the name may be unset")
    }
    // Before the length: a name that is long in octets may be short in characters, and that it is
    // not ASCII is the better thing to say.
    if let bad = text.unicodeScalars.first(where: { !Self.isAllowed($0) }) {
      throw refuse("be of a-z, A-Z, 0-9, \"-\", \"_\" and \".\"", "it has \(quoted(String(bad)))")
    }
    guard text.utf8.count <= Self.maximumLength else {
      throw refuse(
        "be of at most \(Self.maximumLength) characters", "it has \(text.utf8.count)")
    }
    guard first.isASCIIAlphanumeric, last.isASCIIAlphanumeric else {
      throw refuse(
        "begin and end with a letter or digit",
        "it is \(quoted(String(first.isASCIIAlphanumeric ? last : first))) that does not")
    }
    self.rawValue = text
  }

  private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCIIAlphanumeric || scalar == "-" || scalar == "_" || scalar == "."
  }
}

extension Unicode.Scalar {
  /// Whether this is one of `a-z`, `A-Z` and `0-9`.
  var isASCIIAlphanumeric: Bool {
    switch self {
    case "a"..."z", "A"..."Z", "0"..."9": true
    default: false
    }
  }
}

extension DeploymentName: Comparable {
  /// By code point.
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension DeploymentName: CustomStringConvertible {
  /// The name.
  public var description: String { rawValue }
}

extension DeploymentName: Codable {
  /// A name from a single string.
  ///
  /// - Throws: `InvalidName`, or what the decoder throws where there is no string.
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(String.self))
  }

  /// The name as a single string.
  ///
  /// - Throws: what the encoder throws.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}
