import CLibnlRoute
import CLinux
import Glibc
import LinuxSystem

/// A TCP connection over IPv4 of a network namespace, with what has passed over it.
public struct TCPTraffic: Sendable {
  /// The connection.
  public let connection: TCPConnection
  /// The socket's own port, in host byte order.
  public let localPort: UInt16
  /// Bytes that the other end has acknowledged: a caller's SYN and a FIN count as one each (tcp_info(7),
  /// `tcpi_bytes_acked`).
  public let acknowledged: UInt64
  /// Bytes that came; a FIN counts as one.
  public let received: UInt64
  /// Smoothed, in microseconds.
  public let roundTripMicroseconds: UInt32

  /// The connections that `namespace` has now and that are established, or were and have not ended both ways; throws
  /// `SystemError`, ENOENT or EOPNOTSUPP where the kernel has no tcp_diag.
  public static func list(in namespace: NetworkNamespace) throws -> [TCPTraffic] {
    try namespace.perform {
      var found: [TCPTraffic] = []
      let socket = try NetlinkSocket(NETLINK_SOCK_DIAG)
      try socket.listTCP(
        states: TCPConnection.establishedStates, extension: Int(INET_DIAG_INFO)
      ) { record, message in
        let size = Int32(MemoryLayout<inet_diag_msg>.size)
        let cgroup = nlmsg_find_attr(nlmsg_hdr(message), size, Int32(INET_DIAG_CGROUP_ID))
        guard
          let connection = TCPConnection(record, cgroup: cgroup.map { nla_get_u64($0) }),
          let information = nlmsg_find_attr(nlmsg_hdr(message), size, Int32(INET_DIAG_INFO))
        else { return }
        let traffic = linux_tcp_traffic(nla_data(information), UInt64(nla_len(information)))
        found.append(
          TCPTraffic(
            connection: connection, localPort: UInt16(bigEndian: record.id.idiag_sport),
            acknowledged: traffic.acknowledged, received: traffic.received,
            roundTripMicroseconds: traffic.round_trip_microseconds))
      }
      return found
    }
  }
}
