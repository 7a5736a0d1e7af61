/// A domain below which services have their public names: `example.org`, in lower case.
public struct DomainName: Hashable, Sendable {
  /// The most octets that it may have, so that a label of 63 fits before it (RFC 1035, 2.3.4).
  public static let maximumLength = 189

  /// The name, without a dot at its end.
  public let rawValue: String

  /// The domain that `text` is; nil unless it is labels of `a-z 0-9 -` with none at either end.
  public init?(_ text: String) {
    let labels = text.split(separator: ".", omittingEmptySubsequences: false)
    let isName = labels.allSatisfy { label in
      (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
        && label.unicodeScalars.allSatisfy {
          $0.isASCIIAlphanumeric && !("A"..."Z").contains($0) || $0 == "-"
        }
    }
    guard isName, text.utf8.count <= Self.maximumLength else { return nil }
    rawValue = text
  }
}

extension DomainName: CustomStringConvertible {
  /// The name.
  public var description: String { rawValue }
}
