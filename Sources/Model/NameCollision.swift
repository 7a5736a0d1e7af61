/// Two names of services of one deployment that programs could not tell apart.
public struct NameCollision: Error, Hashable, Sendable {
  /// The two names; the same twice where a name was declared twice.
  public let first: ServiceName

  /// The name that comes later.
  public let second: ServiceName

  /// What both become: a host name, or a variable's name.
  public let shared: String

  /// The first two of `names` with the same host name or shell variable; nil if there are none.
  public static func first(among names: some Sequence<ServiceName>) -> NameCollision? {
    // Host names are lower case with `-`, variables begin with `WARP_IST_`: one table holds both.
    var owners: [String: ServiceName] = [:]
    for name in names {
      for shared in [name.hostName, name.shellIdentifier] {
        if let first = owners.updateValue(name, forKey: shared) {
          return NameCollision(first: first, second: name, shared: shared)
        }
      }
    }
    return nil
  }
}

extension NameCollision: CustomStringConvertible {
  /// What to tell people.
  public var description: String {
    first == second
      ? "service \(quoted(first.rawValue)) is declared twice"
      : "services \(quoted(first.rawValue)) and \(quoted(second.rawValue)) both become "
        + "\(quoted(shared)), so programs could not tell them apart; rename one"
  }
}
