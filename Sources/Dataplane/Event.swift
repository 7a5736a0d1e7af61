import CDataplaneABI
import Foundation
import Glibc
import Model

/// What happened in the data path: `struct ist_event` of dataplane_abi.h.
public struct Event: Sendable {
  /// What it was.
  public enum Kind: Sendable {
    /// Something was denied.
    case denied(Reason)
    /// A connection is established.
    case opened
    /// A connection has ended.
    case closed(Closing)
  }

  /// What a connection was, once it has ended; bytes are those of the instance's end.
  public struct Closing: Sendable {
    /// Nanoseconds since it was established.
    public let nanoseconds: UInt64
    /// Bytes that the other end has acknowledged, and bytes received.
    public let sent, received: UInt64
    /// Smoothed.
    public let roundTripMicroseconds: UInt32
  }

  /// One end of what happened.
  public struct Peer: Sendable {
    /// The address; nil where it is not IPv4.
    public let ipv4: IPv4Address?
    /// `struct in6_addr`, in words.
    fileprivate let words: SIMD4<UInt32>
    /// Host byte order; 0 where none is known.
    public let port: UInt16
  }

  /// Nanoseconds since 1970.
  public let time: Int64
  /// What it was.
  public let kind: Kind
  /// The instance; nil where the cgroup or link had no identity.
  public let instance: Identity?
  /// The port of the instance's end, host byte order; 0 where it is not known.
  public let port: UInt16
  /// The other end.
  public let peer: Peer
  /// Whether the other end is the caller or the sender.
  public let isIncoming: Bool
  /// `IPPROTO_*`; 0 where it is not known.
  public let networkProtocol: UInt32
  /// The process that called, as the host numbers it; 0 where that is not known.
  public let pid: UInt32
  /// Its name, cut at 15 bytes.
  public let command: String

  /// The event of a record; nil for a kind or reason that this version does not know.
  init?(_ record: ist_event) {
    switch ist_event_kind(rawValue: record.kind) {
    case IST_EVENT_DENIED:
      guard let reason = Reason(rawValue: record.reason) else { return nil }
      kind = .denied(reason)
    case IST_EVENT_OPENED: kind = .opened
    case IST_EVENT_CLOSED:
      kind = .closed(
        Closing(
          nanoseconds: record.duration, sent: record.sent, received: record.received,
          roundTripMicroseconds: record.round_trip))
    default: return nil
    }
    time = Int64(record.time) + Self.bootTime
    instance =
      record.deployment == 0
      ? nil
      : Identity(
        deployment: DeploymentID(truncatingIfNeeded: record.deployment),
        address: IPv4Address(record.instance))
    port = record.own_port
    peer = Peer(record)
    isIncoming = record.incoming != 0
    networkProtocol = record.protocol
    pid = record.pid
    command = string(of: record.command)
  }

  /// A connect of an instance's that the daemon denied, now: one that the switch had held.
  public init?(denying flow: Flow, _ reason: Reason) {
    var record = ist_event()
    record.time = UInt64(Self.nanoseconds(CLOCK_BOOTTIME))
    record.kind = IST_EVENT_DENIED.rawValue
    record.reason = reason.rawValue
    record.deployment = UInt32(flow.deployment)
    record.instance = flow.source.rawValue
    record.peer = (0, 0, UInt32(0xffff).bigEndian, flow.destination.networkOrder)
    (record.peer_port, record.own_port) = (flow.destinationPort, flow.sourcePort)
    record.protocol = UInt32(IPPROTO_TCP)
    self.init(record)
  }

  /// When the machine started, in nanoseconds since 1970, as the clock is set now.
  private static var bootTime: Int64 { nanoseconds(CLOCK_REALTIME) - nanoseconds(CLOCK_BOOTTIME) }

  private static func nanoseconds(_ clock: Int32) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

extension Event.Peer {
  fileprivate init(_ record: ist_event) {
    let address = record.peer
    port = record.peer_port
    words = SIMD4(address.0, address.1, address.2, address.3)
    let isMapped = address.0 == 0 && address.1 == 0 && address.2 == UInt32(0xffff).bigEndian
    ipv4 = isMapped ? IPv4Address(networkOrder: address.3) : nil
  }

  /// The address in words; empty where none is known. Of most events nobody asks for it.
  public var text: String {
    if let ipv4 { return "\(ipv4)" }
    guard words != .zero || port != 0 else { return "" }
    var characters = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    _ = withUnsafeBytes(of: words) {
      inet_ntop(AF_INET6, $0.baseAddress, &characters, socklen_t(characters.count))
    }
    return characters.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
