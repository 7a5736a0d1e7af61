import CLinux
import Glibc
import HandOver
import LinuxSystem
import Relay
import SwiftProtobuf
import Tunnel
import TunnelTestSupport

/// What one istbpf-relay passes on to the next: a relay goes on with whatever comes, on sockets that are nobody's.
extension FuzzTarget {
  static let handOver = FuzzTarget("hand-over", tries: 3000, seeds: batches) { bytes in
    guard let relay = heir, let (giving, taking) = try? HandOverChannel.pair() else { return }
    let hello = Istbpf_Handover_V1_Hello.with { $0.version = handOverVersion }
    do {
      try giving.send(hello)
      if let batch = try? Istbpf_Handover_V1_Batch(serializedBytes: bytes) {
        let sockets = (0..<8).map { _ in linux_tcp_socket(AF_INET) }
        defer { for socket in sockets { close(socket) } }
        try giving.send(batch, keys: keys(), descriptors: sockets)
      } else {
        _ = send(giving.descriptor, bytes, min(bytes.count, 65_536), Int32(MSG_NOSIGNAL))
      }
      shutdown(giving.descriptor, Int32(SHUT_WR))
      try relay.takeOver(on: taking, as: hello, began: { _ in }, ended: { _ in }, took: { _ in })
    } catch {
      // As a rule it is refused.
    }
  }

  /// Unsafe only in name: nothing of it changes.
  private static let heir: Relay? = {
    guard let authority = try? TestAuthority(),
      let identity = try? authority.identity("a", serial: 100)
    else { return nil }
    var configuration = RelayConfiguration()
    configuration.loops = 1
    return try? Relay(
      configuration: configuration, identities: TunnelIdentities(identity),
      authorize: { _, reply in reply(.refuse(EPERM)) })
  }()

  private static func keys() -> HandOverKeys {
    let keys = HandOverKeys()
    var key = linux_tls_keys()
    key.key_length = 16
    for _ in 0..<4 { keys.add(&key) }
    return keys
  }

  private static var batches: [[UInt8]] {
    let tunnel = Istbpf_Handover_V1_Tunnel.with {
      ($0.cluster, $0.runner, $0.serial) = ("test", "b", "65")
      ($0.address, $0.recordsSent, $0.sealedRecords, $0.openedRecords) = ("127.0.0.1:9", 7, 7, 9)
      ($0.header, $0.headerCount) = (5, 1)
      ($0.sealed, $0.opened) = (.init(repeating: 23, count: 40), .init(repeating: 1, count: 9))
    }
    let stream = Istbpf_Handover_V1_Stream.with {
      ($0.tokenHigh, $0.tokenLow, $0.deployment) = (0, 5, "shop")
      ($0.out, $0.frameLeft, $0.held) = (tunnel, 70, .init(repeating: 2, count: 30))
    }
    let opened = Istbpf_Handover_V1_Stream.with {
      $0 = stream
      ($0.opener, $0.incoming, $0.urgentDue, $0.sentEnd) = (true, tunnel, 3, true)
    }
    let pair = Istbpf_Handover_V1_Pair.with {
      ($0.deployment, $0.holder, $0.carriesUrgent) = ("shop", 1 << 32, true)
      $0.outbound = .with { ($0.pipe, $0.ended) = (.with { $0.count = 5 }, true) }
      $0.inbound = .with { $0.urgent = 9 }
    }
    let items: [[Istbpf_Handover_V1_Item]] = [
      [.with { $0.tunnel = tunnel }, .with { $0.stream = stream }],
      [.with { $0.stream = opened }], [.with { $0.pair = pair }],
    ]
    return items.compactMap { items in
      try? Istbpf_Handover_V1_Batch.with { $0.items = items }.serializedBytes()
    }
  }
}
