import Configuration
import NameResolution

/// How the names outside are looked up that services may connect to, and how long that holds.
public struct EgressConfiguration: Sendable, Hashable {
  /// The file that names the resolver's servers.
  public var resolvConf = "/etc/resolv.conf"
  /// How long addresses stay that a name has no more, or whose resolver fails.
  public var limits = NameLimits()
  /// How many connections to outside one instance may have through the relay.
  public var relayConnections = 2048

  /// The host's own resolver, and the standard limits.
  public init() {}

  /// Reads the section `egress`. Throws `InvalidConfiguration`.
  static func read(_ reader: ConfigReader) throws -> EgressConfiguration {
    var configuration = EgressConfiguration()
    if let path = reader.string(forKey: "egress.resolvConf") {
      guard path.hasPrefix("/") else {
        throw InvalidConfiguration(
          key: "egress.resolvConf", problem: "\(path) is no absolute path, like /etc/resolv.conf")
      }
      configuration.resolvConf = path
    }
    func number(_ key: String, _ allowed: ClosedRange<Int>) throws -> Int? {
      guard let number = reader.int(forKey: ConfigKey(key)) else { return nil }
      guard allowed.contains(number) else {
        throw InvalidConfiguration(
          key: key,
          problem: "\(number) is not between \(allowed.lowerBound) and \(allowed.upperBound)")
      }
      return number
    }
    func seconds(_ key: String, _ allowed: ClosedRange<Int>) throws -> Double? {
      try number(key, allowed).map(Double.init)
    }
    if let most = try number("egress.relayConnections", 1...65_536) {
      configuration.relayConnections = most
    }
    if let former = try seconds("egress.keepFormerSeconds", 1...86_400) {
      configuration.limits.keepsFormer = former
    }
    if let failing = try seconds("egress.keepOnFailureSeconds", 1...604_800) {
      configuration.limits.keepsOnFailure = failing
    }
    return configuration
  }
}
