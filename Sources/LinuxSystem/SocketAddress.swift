import Glibc

/// An IP address and a TCP port.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
  /// The address, numeric: `192.0.2.7` or `2001:db8::7`.
  public let host: String
  /// The port, in host byte order.
  public let port: UInt16
  /// AF_INET or AF_INET6.
  public let family: Int32

  /// The address `host`, which must be numeric; nil where it is not.
  public init?(_ host: String, port: UInt16) {
    var bytes = in6_addr()
    if inet_pton(AF_INET, host, &bytes) == 1 {
      family = AF_INET
    } else if inet_pton(AF_INET6, host, &bytes) == 1 {
      family = AF_INET6
    } else {
      return nil
    }
    (self.host, self.port) = (host, port)
  }

  /// The address that `text` is, `192.0.2.7:7443` or `[2001:db8::7]:7443`; nil where it is none.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"),
      let port = UInt16(text[text.index(after: colon)...]), port > 0
    else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    self.init(String(host), port: port)
  }

  /// `host:port`, an IPv6 address in brackets.
  public var description: String {
    family == AF_INET ? "\(host):\(port)" : "[\(host)]:\(port)"
  }

  /// connect(2) of `descriptor` to it: 0, or -1 with errno.
  public func connect(_ descriptor: Int32) -> Int32 {
    if family == AF_INET {
      var name = sockaddr_in()
      name.sin_family = sa_family_t(AF_INET)
      name.sin_port = port.bigEndian
      inet_pton(AF_INET, host, &name.sin_addr)
      return withSocketAddress(&name) { Glibc.connect(descriptor, $0, $1) }
    }
    var name = sockaddr_in6()
    name.sin6_family = sa_family_t(AF_INET6)
    name.sin6_port = port.bigEndian
    inet_pton(AF_INET6, host, &name.sin6_addr)
    return withSocketAddress(&name) { Glibc.connect(descriptor, $0, $1) }
  }

  /// The IP address in `storage`, as accept(2) fills it.
  public static func text(of storage: sockaddr_storage) -> String {
    var storage = storage
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    let family = Int32(storage.ss_family)
    withUnsafePointer(to: &storage) { pointer in
      let bytes = UnsafeRawPointer(pointer)
      // sin_addr is at 4, sin6_addr at 8.
      inet_ntop(family, bytes + (family == AF_INET ? 4 : 8), &text, socklen_t(text.count))
    }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// Calls `body` with `name` as a `sockaddr` and its size.
public func withSocketAddress<Name, Value>(
  _ name: inout Name, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value
) -> Value {
  withUnsafePointer(to: &name) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      body($0, socklen_t(MemoryLayout<Name>.size))
    }
  }
}
