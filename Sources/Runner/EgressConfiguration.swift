import Configuration
import NameResolution

/// How the names outside are looked up that services may connect to, and how long that holds.
public struct EgressConfiguration: Sendable, Hashable {
  /// The file that names the resolver's servers.
  public var resolvConf = "/etc/resolv.conf"
  /// How long addresses stay that a name has no more, or whose resolver fails.
  public var limits = NameLimits()

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
    func seconds(_ key: String, _ allowed: ClosedRange<Int>) throws -> Double? {
      guard let seconds = reader.int(forKey: ConfigKey(key)) else { return nil }
      guard allowed.contains(seconds) else {
        throw InvalidConfiguration(
          key: key,
          problem: "\(seconds) is not between \(allowed.lowerBound) and \(allowed.upperBound)")
      }
      return Double(seconds)
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
