import Configuration
import LinuxSystem

/// Where metrics and health are served: on loopback, since they name every deployment and service.
enum MetricsAddress {
  /// Reads `metrics.address`; nil where there is none. Throws `InvalidConfiguration`.
  static func read(_ reader: ConfigReader) throws -> SocketAddress? {
    let key = "metrics.address"
    guard let text = reader.string(forKey: ConfigKey(key)) else { return nil }
    guard let address = SocketAddress(text) else {
      throw InvalidConfiguration(
        key: key, problem: "\(text) is no IP address with a port, like 127.0.0.1:9464")
    }
    guard address.host == "::1" || address.host.hasPrefix("127.") else {
      throw InvalidConfiguration(
        key: key, problem: "\(text) is not on loopback: have a proxy serve it elsewhere")
    }
    return address
  }
}
