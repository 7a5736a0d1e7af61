import GRPCNIOTransportHTTP2Posix
import Glibc
import Registry

/// One server of etcd, from its URL.
struct EtcdEndpoint: Sendable {
  /// The URL as it was given.
  let url: String
  let isSecure: Bool
  let host: String
  let port: Int

  /// - Throws: `RegistryError.unavailable` with what is wrong with `url`.
  init(_ url: String) throws {
    func refuse(_ reason: String) -> RegistryError {
      .unavailable(
        file: url,
        detail: "it is no URL of an etcd server such as "
          + "https://etcd-1.example:2379: \(reason)")
    }
    self.url = url
    let rest: Substring
    if url.hasPrefix("https://") {
      (isSecure, rest) = (true, url.dropFirst(8))
    } else if url.hasPrefix("http://") {
      (isSecure, rest) = (false, url.dropFirst(7))
    } else {
      throw refuse("it begins with neither https:// nor http://")
    }
    let authority = rest.hasSuffix("/") ? rest.dropLast() : rest
    guard !authority.contains(where: { "/?#@".contains($0) || $0.isWhitespace }) else {
      throw refuse("it has more than a host and a port")
    }
    var host = authority
    var port = "2379"[...]
    if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
      (host, port) = (authority[..<colon], authority[authority.index(after: colon)...])
    }
    if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { throw refuse("the host is missing") }
    guard let number = UInt16(port), number > 0 else { throw refuse("its port is none") }
    self.host = String(host)
    self.port = Int(number)
  }

  /// What gRPC connects to. A server with an address for a name is known by that in its certificate.
  var target: any ResolvableTarget {
    var octets = in6_addr()
    if inet_pton(AF_INET, host, &octets) == 1 { return .ipv4(address: host, port: port) }
    if inet_pton(AF_INET6, host, &octets) == 1 { return .ipv6(address: host, port: port) }
    return .dns(host: host, port: port)
  }
}
