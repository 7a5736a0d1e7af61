import Glibc

/// A TCP socket that listens, as /proc/<pid>/net/tcp and tcp6 show it.
public struct ListeningSocket: Hashable, Sendable {
  /// Where it can be connected to from.
  public enum Reach: Hashable, Sendable {
    /// Bound to a wildcard: any address of the namespace.
    case everywhere
    /// Bound to 127.0.0.0/8 or ::1: the namespace itself.
    case loopback
    /// Bound to this IPv4 address, a number in host byte order.
    case address(UInt32)
    /// Bound to an IPv6 address.
    case ipv6
  }

  /// Where it can be connected to from.
  public let reach: Reach
  /// Host byte order.
  public let port: UInt16

  /// Those of the network namespace of a process; throws `SystemError`, ENOENT where it has ended.
  public static func all(inNamespaceOf process: pid_t) throws -> [ListeningSocket] {
    try ["tcp", "tcp6"].flatMap { table in
      try SmallFile.read("/proc/\(process)/net/\(table)").split(separator: "\n").dropFirst()
        .compactMap { ListeningSocket(line: String($0)) }
    }
  }

  /// The socket of a line such as `0: 0100007F:0C8B 00000000:0000 0A ...`: the address as words of
  /// 32 bits that hold network byte order; nil where it does not listen (0A).
  init?(line: String) {
    let fields = line.split(separator: " ", omittingEmptySubsequences: true)
    guard fields.count > 3, fields[3] == "0A" else { return nil }
    let local = fields[1].split(separator: ":")
    guard local.count == 2, let port = UInt16(local[1], radix: 16) else { return nil }
    let digits = Array(local[0])
    let words = stride(from: 0, to: digits.count, by: 8).compactMap {
      UInt32(String(digits[$0..<min($0 + 8, digits.count)]), radix: 16).map(UInt32.init(bigEndian:))
    }
    self.port = port
    switch words.count {
    case 1: reach = Self.reach(words[0])
    case 4 where words[0] == 0 && words[1] == 0 && words[2] == 0xffff: reach = Self.reach(words[3])
    case 4 where words == [0, 0, 0, 0]: reach = .everywhere
    case 4 where words == [0, 0, 0, 1]: reach = .loopback
    case 4: reach = .ipv6
    default: return nil
    }
  }

  private static func reach(_ address: UInt32) -> Reach {
    if address == 0 { return .everywhere }
    return address >> 24 == 127 ? .loopback : .address(address)
  }
}
