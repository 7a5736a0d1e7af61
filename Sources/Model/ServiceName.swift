/// The name of a service, as it was declared: up to 127 octets of UTF-8.
///
/// Letters and digits of any script, `-`, `_` and `.`, with a letter or digit at both ends. Two names
/// are the same only if their octets are, because a variable's name is compared so; names that
/// people would call the same collide in their host name (`NameCollision`).
public struct ServiceName: Sendable {
  /// The most octets of UTF-8 that a name may have.
  public static let maximumLength = 127

  /// The name as it was declared.
  public let rawValue: String

  /// The name as one label of the DNS, at most 63 octets: `<hostName>.warp` resolves.
  public let hostName: String

  /// The service's name that `text` is.
  ///
  /// - Throws: `InvalidName` with the rule that `text` breaks.
  public init(_ text: String) throws(InvalidName) {
    func refuse(_ rule: String, _ cause: String) -> InvalidName {
      InvalidName(.service, text, must: rule, cause: cause)
    }
    guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else {
      throw refuse("not be empty", "a variable that holds the name may be unset")
    }
    if let bad = text.unicodeScalars.first(where: { !$0.isAllowed }) {
      throw refuse(
        "be of letters, digits, \"-\", \"_\" and \".\"",
        "it has \(bad.properties.isWhitespace ? "white space: " : "")\(quoted(String(bad)))")
    }
    guard text.utf8.count <= Self.maximumLength else {
      throw refuse(
        "be of at most \(Self.maximumLength) octets of UTF-8", "it has \(text.utf8.count)")
    }
    // A combining mark may end a name, since it belongs to the letter before it.
    guard first.isAlphanumeric, last.isAlphanumeric || last.isMark else {
      throw refuse(
        "begin and end with a letter or digit",
        "it is \(quoted(String(first.isAlphanumeric ? last : first))) that does not")
    }
    self.rawValue = text
    self.hostName = try HostNameEncoding.label(for: text)
  }
}

extension Unicode.Scalar {
  /// Whether this is a letter or a decimal digit of any script.
  var isAlphanumeric: Bool {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
      .decimalNumber:
      true
    default: false
    }
  }

  /// Whether this is a mark that belongs to the letter before it.
  var isMark: Bool {
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark: true
    default: false
    }
  }

  fileprivate var isAllowed: Bool {
    isAlphanumeric || isMark || self == "-" || self == "_" || self == "."
  }
}

extension ServiceName: Hashable, Comparable {
  /// Octet by octet: String's own comparison takes canonically equivalent texts as equal.
  public static func == (left: Self, right: Self) -> Bool {
    left.rawValue.utf8.elementsEqual(right.rawValue.utf8)
  }

  /// By the octets of UTF-8.
  public static func < (left: Self, right: Self) -> Bool {
    left.rawValue.utf8.lexicographicallyPrecedes(right.rawValue.utf8)
  }

  /// Hashes what `==` compares.
  public func hash(into hasher: inout Hasher) {
    for octet in rawValue.utf8 { hasher.combine(octet) }
  }
}

extension ServiceName: CustomStringConvertible {
  /// The name as it was declared.
  public var description: String { rawValue }
}

extension ServiceName: Codable {
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
