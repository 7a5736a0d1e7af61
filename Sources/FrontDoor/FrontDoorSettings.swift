import Glibc
import LinuxSystem
import Model

/// What a runner is told of its front door.
public struct FrontDoorSettings: Hashable, Sendable {
  /// The domain that the services' URLs end with: `example.org`.
  public var domain: DomainName
  /// Where https is taken.
  public var https: SocketAddress
  /// Where http is taken, to be redirected; nil where it is not.
  public var http: SocketAddress?
  /// The directory of certificates and keys.
  public var certificates: String

  /// The program: HAProxy 2.6 or later.
  public static let program = "/usr/sbin/haproxy"
  /// The user that it runs as, which Debian's package makes.
  public static let user = "haproxy"

  /// Settings from their parts.
  public init(domain: DomainName, https: SocketAddress, http: SocketAddress?, certificates: String)
  {
    (self.domain, self.https, self.http) = (domain, https, http)
    self.certificates = certificates
  }

  /// The URL of the service with the public name `label`.
  public func url(ofLabel label: String) -> String {
    "https://\(label).\(domain)\(https.port == 443 ? "" : ":\(https.port)")/"
  }
}

extension SocketAddress {
  /// As HAProxy's `bind` has it.
  var bindText: String { (family == AF_INET6 ? "ipv6@" : "ipv4@") + "\(host):\(port)" }
}
