import Configuration
import FrontDoor
import LinuxSystem
import Model
import Relay

extension FrontDoorSettings {
  /// Nil where the configuration has no `frontDoor.domain`: then this runner has no front door.
  ///
  /// Throws `InvalidConfiguration`.
  static func read(_ reader: ConfigReader) throws -> FrontDoorSettings? {
    guard let text = reader.string(forKey: "frontDoor.domain") else {
      for key in ["frontDoor.certificates", "frontDoor.https", "frontDoor.http"]
      where reader.string(forKey: ConfigKey(key)) != nil {
        throw InvalidConfiguration(
          key: "frontDoor.domain", problem: "is missing, although there is \(key)")
      }
      return nil
    }
    guard let domain = DomainName(text) else {
      throw InvalidConfiguration(
        key: "frontDoor.domain",
        problem: "\(text) is no domain: labels of a-z, 0-9 and - are needed, as in example.org")
    }
    func address(_ key: String, _ standard: String) throws -> SocketAddress {
      let text = reader.string(forKey: ConfigKey(key)) ?? standard
      guard let address = SocketAddress(text) else {
        throw InvalidConfiguration(
          key: key, problem: "\(text) is no IP address with a port, like \(standard)")
      }
      return address
    }
    guard let certificates = reader.string(forKey: "frontDoor.certificates"), !certificates.isEmpty
    else {
      throw InvalidConfiguration(
        key: "frontDoor.certificates",
        problem: "is missing: the front door needs a directory of certificates; "
          + "for trying it, `istbpf ca issue-domain \(domain)` makes one")
    }
    let isHTTPWanted = reader.string(forKey: "frontDoor.http") != ""
    return FrontDoorSettings(
      domain: domain, https: try address("frontDoor.https", "0.0.0.0:443"),
      http: isHTTPWanted ? try address("frontDoor.http", "0.0.0.0:80") : nil,
      certificates: certificates)
  }
}
