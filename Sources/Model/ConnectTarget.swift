/// What a program may want to connect to, as people write it.
public struct ConnectTarget: Hashable, Sendable {
  /// Where.
  public enum Host: Hashable, Sendable {
    /// An IPv4 address; `isMapped` where it was written as `::ffff:a.b.c.d`.
    case ipv4(IPv4Address, isMapped: Bool)
    /// Any other IPv6 address, as it was written.
    case ipv6(String)
    /// A service of the caller's deployment, by its name.
    case service(String)
    /// A service of the caller's deployment, by the label before `.warp`.
    case hostName(String)
    /// A service of a deployment that is named too.
    case serviceOf(deployment: String, String)
  }

  /// Where.
  public let host: Host
  /// The port; nil where none was written.
  public let port: PortNumber?

  /// The target that `text` is: `db`, `db.warp`, `shop/db`, `192.0.2.1` or an IPv6 address, with `:PORT`
  /// behind it or without; an IPv6 address with a port stands in brackets.
  ///
  /// Throws `InvalidTarget`.
  public init(_ text: String) throws(InvalidTarget) {
    let (host, port) = try Self.split(text)
    guard !host.isEmpty else { throw InvalidTarget(text: text, reason: "it names no host") }
    if let port {
      do { self.port = try PortNumber(port) } catch {
        throw InvalidTarget(text: text, reason: "\(error)")
      }
    } else {
      self.port = nil
    }
    if let address = IPv4Address(host) {
      self.host = .ipv4(address, isMapped: false)
    } else if host.contains(":") {
      let prefix = "::ffff:"
      let mapped =
        host.lowercased().hasPrefix(prefix)
        ? IPv4Address(String(host.dropFirst(prefix.count))) : nil
      self.host = mapped.map { .ipv4($0, isMapped: true) } ?? .ipv6(host.lowercased())
    } else if let slash = host.firstIndex(of: "/") {
      self.host = .serviceOf(
        deployment: String(host[..<slash]), String(host[host.index(after: slash)...]))
    } else if host.hasSuffix(".warp") {
      self.host = .hostName(String(host.dropLast(".warp".count)).lowercased())
    } else {
      self.host = .service(host)
    }
  }

  private static func split(
    _ text: String
  ) throws(InvalidTarget) -> (host: String, port: String?) {
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else {
        throw InvalidTarget(text: text, reason: "the bracket is not closed")
      }
      let host = String(text[text.index(after: text.startIndex)..<end])
      let rest = text[text.index(after: end)...]
      guard host.contains(":"), rest.isEmpty || rest.hasPrefix(":") else {
        throw InvalidTarget(text: text, reason: "brackets are for IPv6, as in [2001:db8::1]:443")
      }
      return (host, rest.isEmpty ? nil : String(rest.dropFirst()))
    }
    guard let colon = text.firstIndex(of: ":") else { return (text, nil) }
    // Two colons and no brackets: an IPv6 address without a port.
    guard text.lastIndex(of: ":") == colon else { return (text, nil) }
    return (String(text[..<colon]), String(text[text.index(after: colon)...]))
  }
}

/// An invalid target.
public struct InvalidTarget: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was given.
  public let text: String

  /// What is wrong with it.
  public let reason: String

  /// That `text` is no target, for this `reason`.
  public init(text: String, reason: String) {
    self.text = text
    self.reason = reason
  }

  /// What to tell people.
  public var description: String {
    "\(quoted(text)) is nothing to connect to such as \"db:5432\" or \"192.0.2.1:443\": \(reason)"
  }
}
