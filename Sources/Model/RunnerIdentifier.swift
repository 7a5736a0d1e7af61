/// Who a runner is, as its certificate says it: `spiffe://<cluster>/runner/<name>`.
public struct RunnerIdentifier: Hashable, Sendable {
  /// The installation that the runner belongs to: the trust domain.
  public let cluster: String
  /// The runner's name, which is unique in its cluster.
  public let name: String

  /// The runner `name` of `cluster`; nil where one of them is empty, longer than 255 bytes, or has
  /// another character than `a-z A-Z 0-9 - _ .`.
  public init?(cluster: String, name: String) {
    guard Self.isName(cluster), Self.isName(name) else { return nil }
    (self.cluster, self.name) = (cluster, name)
  }

  /// The runner that `uri` names; nil where it is of another form, by a single byte.
  public init?(uri: String) {
    let parts = uri.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0] == "spiffe:", parts[1].isEmpty, parts[3] == "runner" else {
      return nil
    }
    self.init(cluster: String(parts[2]), name: String(parts[4]))
  }

  /// The name as a certificate has it, the one URI among its subject alternative names.
  public var uri: String { "spiffe://\(cluster)/runner/\(name)" }

  private static func isName(_ text: String) -> Bool {
    (1...255).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
          UInt8(ascii: "."):
          true
        default: false
        }
      }
  }
}

extension RunnerIdentifier: CustomStringConvertible {
  /// The URI.
  public var description: String { uri }
}
