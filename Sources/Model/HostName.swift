import CLibidn2

/// The DNS name of a host outside every deployment, `api.example.com`: in lower case, without a dot at its
/// end, and in ASCII (A-labels of IDNA 2008).
public struct HostName: Hashable, Sendable {
  /// The most octets of a name, and of one of its labels (RFC 1035, 2.3.4).
  static let maximumLengths = (name: 253, label: 63)

  /// The name.
  public let rawValue: String

  /// The name that `text` is.
  ///
  /// - Throws: `InvalidHostName` for what is no name, and for one that can be no host outside.
  public init(_ text: String) throws(InvalidHostName) {
    func refuse(_ reason: String) -> InvalidHostName { InvalidHostName(text: text, reason: reason) }
    guard !text.contains("*") else {
      throw refuse(
        "a wildcard stands for names that nobody can list, so their addresses cannot be looked up: "
          + "name each host")
    }
    var name = text.lowercased()
    if !name.utf8.allSatisfy({ $0 < 0x80 }) { name = try Self.encode(name, text) }
    if name.hasSuffix(".") { name.removeLast() }
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    for label in labels {
      guard !label.isEmpty else { throw refuse("a label between dots is empty") }
      guard label.utf8.count <= Self.maximumLengths.label else {
        throw refuse("a label has more than \(Self.maximumLengths.label) octets")
      }
      // A host name has no underscore, but there are such in use, and every resolver takes them.
      let other = label.unicodeScalars.first { !$0.isASCIIAlphanumeric && $0 != "-" && $0 != "_" }
      if let other {
        throw refuse("\"\(escaped(other))\" is in no host name")
      }
      guard label.first != "-", label.last != "-" else {
        throw refuse("a label begins or ends with a hyphen")
      }
    }
    guard name.utf8.count <= Self.maximumLengths.name else {
      throw refuse("it has more than \(Self.maximumLengths.name) octets")
    }
    try Self.checkPlace(labels, text)
    rawValue = name
  }

  /// Refuses names whose last label says that they are no host outside.
  private static func checkPlace(
    _ labels: [Substring], _ text: String
  ) throws(InvalidHostName) {
    func refuse(_ reason: String) -> InvalidHostName { InvalidHostName(text: text, reason: reason) }
    let last = labels.last ?? ""
    // inet_aton(3) and browsers take these for addresses, whatever the DNS says.
    let isHexadecimal = last.hasPrefix("0x") && last.dropFirst(2).allSatisfy(\.isHexDigit)
    guard !isHexadecimal, !last.allSatisfy({ "0"..."9" ~= $0 }) else {
      throw refuse("it ends with a number, and is no IPv4 address")
    }
    switch last {
    case "warp": throw refuse("names below .warp are the deployment's own, and need no rule")
    case "localhost": throw refuse("loopback is the container's own, and needs no rule")
    default: break
    }
    guard labels.count > 1 else {
      throw refuse(
        "a name of one label means another host wherever it is looked up (search domains): write the "
          + "whole name, such as \(last).example.com; services of the deployment need no rule")
    }
  }

  private static func encode(
    _ name: String, _ text: String
  ) throws(InvalidHostName) -> String {
    var output: UnsafeMutablePointer<UInt8>?
    let flags = Int32(IDN2_NFC_INPUT.rawValue | IDN2_NONTRANSITIONAL.rawValue)
    let result = idn2_lookup_u8(name, &output, flags)
    defer { idn2_free(output) }
    guard result == IDN2_OK.rawValue, let output else {
      throw InvalidHostName(
        text: text,
        reason: "it is no name by IDNA 2008: \(String(cString: idn2_strerror(result)))")
    }
    return String(cString: output)
  }
}

extension HostName: Comparable {
  /// By their characters.
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension HostName: CustomStringConvertible {
  /// The name.
  public var description: String { rawValue }
}

/// A name that is no host's outside the deployments.
public struct InvalidHostName: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was given.
  public let text: String

  /// What is wrong with it.
  public let reason: String

  /// What to tell people.
  public var description: String { "\(quoted(text)) is no name of a host outside: \(reason)" }
}
