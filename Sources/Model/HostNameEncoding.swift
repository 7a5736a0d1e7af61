import CLibidn2

/// How a service's name becomes one label of a host name: lower case, `-` for what is neither letter
/// nor digit, and IDNA 2008 (RFC 5891) where it is not ASCII.
enum HostNameEncoding {
  /// The most octets of a label (RFC 1035, 2.3.4).
  static let maximumLength = 63

  /// The label for `name`, which is made of allowed characters already.
  ///
  /// - Throws: `InvalidName` if IDNA has no label for it or the label is too long.
  static func label(for name: String) throws(InvalidName) -> String {
    var folded = ""
    for scalar in name.lowercased().unicodeScalars {
      folded.unicodeScalars.append(scalar.isAlphanumeric || scalar.isMark ? scalar : "-")
    }
    // ASCII is a label as it is. libidn2 would refuse `my--db` for the two hyphens, a rule that keeps
    // room for prefixes such as `xn--`, and `my__db` is too good a name for that.
    let isASCII = folded.utf8.allSatisfy { $0 < 0x80 }
    let label = isASCII ? folded : try encode(folded, of: name)
    guard label.utf8.count <= maximumLength else { throw tooLong(name, label) }
    return label
  }

  private static func encode(_ folded: String, of name: String) throws(InvalidName) -> String {
    var output: UnsafeMutablePointer<UInt8>?
    let flags = Int32(IDN2_NFC_INPUT.rawValue | IDN2_NONTRANSITIONAL.rawValue)
    let result = idn2_lookup_u8(folded, &output, flags)
    defer { idn2_free(output) }
    guard result == IDN2_OK.rawValue, let output else {
      let tooLong = [IDN2_TOO_BIG_LABEL, IDN2_TOO_BIG_DOMAIN, IDN2_PUNYCODE_BIG_OUTPUT]
      if tooLong.contains(where: { $0.rawValue == result }) { throw self.tooLong(name, nil) }
      throw InvalidName(
        .service, name, must: "have a host name by IDNA 2008",
        cause: "libidn2 says of \(quoted(folded)): \(String(cString: idn2_strerror(result)))")
    }
    return String(cString: output)
  }

  private static func tooLong(_ name: String, _ label: String?) -> InvalidName {
    InvalidName(
      .service, name, must: "have a host name of at most \(maximumLength) octets",
      cause: label.map { "\(quoted($0)) has \($0.utf8.count)" }
        ?? "letters outside ASCII take several octets each")
  }
}
