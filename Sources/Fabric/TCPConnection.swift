import CLibnlRoute
import Glibc
import Model

/// A TCP connection over IPv4 of a network namespace, as sock_diag(7) shows its socket.
public struct TCPConnection: Sendable {
  /// The socket's own address.
  public let local: IPv4Address
  /// The socket's own port, in host byte order.
  public let localPort: UInt16
  /// The other end's address.
  public let peer: IPv4Address
  /// The other end's port, in host byte order.
  public let peerPort: UInt16
  /// Whether the other end has said that nothing more will come from it (FIN).
  public let hasPeerEnded: Bool
  /// Bytes that were written and that the other end has not acknowledged, a FIN counted as one.
  public let unacknowledged: UInt32
  /// The id of the cgroup whose socket it is; nil where the kernel does not say (before Linux 5.8).
  public let cgroup: UInt64?

  /// What names the socket to the kernel, its cookie included: not another one that has its ports now.
  let identifier: inet_diag_sockid
  let family: UInt8

  /// The states of include/net/tcp_states.h in which there is a connection that can be cut.
  private enum State: UInt8 {
    case established = 1
    case sent, received, finWait1, finWait2
    case closeWait = 8
    case lastAck
    case closing = 11
    case newlyReceived
  }

  /// Those states as bits, for a request.
  static let states: UInt32 = [
    State.established, .sent, .received, .finWait1, .finWait2, .closeWait, .lastAck, .closing,
    .newlyReceived,
  ].reduce(0) { $0 | 1 << UInt32($1.rawValue) }

  /// Those in which bytes can have passed: established, and all that come after.
  static let establishedStates =
    states
    & ~[State.sent, .received, .newlyReceived].reduce(0) { $0 | 1 << UInt32($1.rawValue) }

  /// The connection of a record; nil where it is not over IPv4.
  init?(_ record: inet_diag_msg, cgroup: UInt64?) {
    guard let local = Self.ipv4(record.id.idiag_src, record.idiag_family),
      let peer = Self.ipv4(record.id.idiag_dst, record.idiag_family)
    else { return nil }
    (self.local, self.peer) = (local, peer)
    localPort = UInt16(bigEndian: record.id.idiag_sport)
    peerPort = UInt16(bigEndian: record.id.idiag_dport)
    switch State(rawValue: record.idiag_state) {
    case .closeWait, .lastAck, .closing: hasPeerEnded = true
    default: hasPeerEnded = false
    }
    unacknowledged = record.idiag_wqueue
    self.cgroup = cgroup
    identifier = record.id
    family = record.idiag_family
  }

  typealias Words = (UInt32, UInt32, UInt32, UInt32)

  /// An address of a record: an IPv4 socket's, or one of an IPv6 socket that is v4-mapped.
  static func ipv4(_ words: Words, _ family: UInt8) -> IPv4Address? {
    if Int32(family) == AF_INET { return IPv4Address(networkOrder: words.0) }
    guard words.0 == 0, words.1 == 0, words.2 == UInt32(0xffff).bigEndian else { return nil }
    return IPv4Address(networkOrder: words.3)
  }
}
