import CLibnlRoute
import Glibc
import LinuxSystem
import SystemPackage

/// The TCP connections over IPv4 of a network namespace, whichever process has their sockets.
public enum TCPConnections {
  /// Those that `namespace` has now; throws `SystemError`, ENOENT where the kernel has no tcp_diag.
  public static func list(in namespace: NetworkNamespace) throws -> [TCPConnection] {
    try namespace.perform { try NetlinkSocket(NETLINK_SOCK_DIAG).connections() }
  }

  /// Cuts those that `isCut` names, and returns how many that were.
  ///
  /// The other end gets RST, and the socket's program ECONNABORTED (SOCK_DESTROY of sock_diag(7), which
  /// needs CONFIG_INET_DIAG_DESTROY: EOPNOTSUPP without). What has arrived can still be read.
  @discardableResult
  public static func cut(
    in namespace: NetworkNamespace, where isCut: (TCPConnection) -> Bool
  ) throws -> Int {
    try namespace.perform {
      let socket = try NetlinkSocket(NETLINK_SOCK_DIAG)
      let connections = try socket.connections().filter(isCut)
      for connection in connections { try socket.destroy(connection) }
      return connections.count
    }
  }

  /// Whether this kernel can cut connections: asks it to cut one that cannot be. Throws `SystemError`
  /// where it cannot.
  public static func probe() throws {
    try NetworkNamespace.anonymous().perform {
      let socket = try NetlinkSocket(NETLINK_SOCK_DIAG)
      var nobody = inet_diag_msg()
      nobody.idiag_family = UInt8(AF_INET)
      if let connection = TCPConnection(nobody, cgroup: nil) { try socket.destroy(connection) }
    }
  }
}

extension NetlinkSocket {
  /// The connections of the socket's namespace.
  fileprivate func connections() throws -> [TCPConnection] {
    try [AF_INET, AF_INET6].flatMap { try connections(of: UInt8($0)) }
  }

  private func connections(of family: UInt8) throws -> [TCPConnection] {
    var found: [TCPConnection] = []
    try listTCP(family, states: TCPConnection.states) { record, message in
      let size = Int32(MemoryLayout<inet_diag_msg>.size)
      let cgroup = nlmsg_find_attr(nlmsg_hdr(message), size, Int32(INET_DIAG_CGROUP_ID))
      if let connection = TCPConnection(record, cgroup: cgroup.map { nla_get_u64($0) }) {
        found.append(connection)
      }
    }
    return found
  }

  /// Hands the TCP sockets of the socket's namespace to `body`, each with the message that it came in:
  /// those of a family in `states`, bits of include/net/tcp_states.h. What `extension` names of sock_diag(7), such
  /// as INET_DIAG_INFO, is in each message besides.
  func listTCP(
    _ family: UInt8, states: UInt32, extension: Int = 0,
    _ body: (inet_diag_msg, OpaquePointer) -> Void
  ) throws {
    var request = inet_diag_req_v2()
    request.sdiag_family = family
    request.sdiag_protocol = UInt8(IPPROTO_TCP)
    request.idiag_states = states
    if `extension` > 0 { request.idiag_ext = 1 << UInt8(`extension` - 1) }
    try receive("list", "TCP sockets") {
      Self.hand($0, to: body)
    } sending: { socket in
      nl_send_simple(
        socket, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, MemoryLayout.size(ofValue: request))
    }
  }

  /// The same of both families, asked for by the older message, that names none: the kernel then goes once through
  /// a table that has all sockets of the host, those included that wait for a minute after their end (TIME_WAIT).
  func listTCP(
    states: UInt32, extension: Int = 0, _ body: (inet_diag_msg, OpaquePointer) -> Void
  ) throws {
    var request = inet_diag_req()
    request.idiag_states = states
    if `extension` > 0 { request.idiag_ext = 1 << UInt8(`extension` - 1) }
    try receive("list", "TCP sockets") {
      Self.hand($0, to: body)
    } sending: { socket in
      nl_send_simple(
        socket, Int32(TCPDIAG_GETSOCK), NLM_F_DUMP, &request, MemoryLayout.size(ofValue: request))
    }
  }

  private static func hand(
    _ message: OpaquePointer, to body: (inet_diag_msg, OpaquePointer) -> Void
  ) {
    let header = nlmsg_hdr(message)
    guard let data = nlmsg_data(header),
      nlmsg_datalen(header) >= MemoryLayout<inet_diag_msg>.size
    else { return }
    body(data.loadUnaligned(as: inet_diag_msg.self), message)
  }

  /// Cuts one connection; not an error where it is gone.
  fileprivate func destroy(_ connection: TCPConnection) throws {
    var request = inet_diag_req_v2()
    request.sdiag_family = connection.family
    request.sdiag_protocol = UInt8(IPPROTO_TCP)
    request.idiag_states = TCPConnection.states
    request.id = connection.identifier
    let peer = "the connection with \(connection.peer):\(connection.peerPort)"
    do {
      try self.request("cut", peer) { socket in
        let message = nlmsg_alloc_simple(Int32(SOCK_DESTROY), 0)
        nlmsg_append(message, &request, MemoryLayout.size(ofValue: request), Int32(NLMSG_ALIGNTO))
        return nl_send_sync(socket, message)
      }
    } catch let error as SystemError where error.errno == .noSuchFileOrDirectory {
      return
    }
  }
}
