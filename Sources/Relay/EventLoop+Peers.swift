import CLinux
import Glibc
import SystemPackage
import Tunnel

/// Noticing peers that have vanished: a machine without power, a network that is cut. They send no FIN.
///
/// On a tunnel on which nothing is under way the kernel's keepalive does it, as a rule. Where bytes are, the
/// kernel would go on for a quarter of an hour (tcp_retries2), and TCP_USER_TIMEOUT would also end
/// the streams whose far program takes its time to read. So the loop looks itself.
extension EventLoop {
  /// Has the kernel probe what is idle.
  func keepAlive(_ descriptor: Int32) {
    let configuration = shared.configuration
    let idle = max(1, configuration.keepAlive.components.seconds)
    keepAlive(descriptor, idle: idle, interval: max(1, idle / 2))
  }

  /// The same after `idle` seconds and then each `interval` seconds.
  func keepAlive(_ descriptor: Int32, idle: Int64, interval: Int64) {
    let limit = shared.configuration.peerTimeout.components.seconds
    let count = max(1, (limit - idle) / interval)
    linux_tcp_keep_alive(descriptor, Int32(idle), Int32(interval), Int32(count))
  }

  /// Looks at all peers from time to time, as long as there are tunnels.
  func watchPeers() {
    guard peerWatch == nil else { return }
    peerWatch = after(shared.configuration.peerTimeout.nanoseconds / 4) { [weak self] in
      guard let self else { return }
      peerWatch = nil
      for tunnel in Array(tunnels.values) { check(tunnel) }
      if !tunnels.isEmpty { watchPeers() }
    }
  }

  private func isAtRest(_ tunnel: TunnelConnection) -> Bool {
    var unsent = linux_tcp_nothing_unsent
    return linux_tcp_last_heard(tunnel.channel.descriptor, &unsent) >= 0
      && unsent == linux_tcp_nothing_unsent
  }

  private func check(_ tunnel: TunnelConnection) {
    let silence = linux_tcp_silence(tunnel.channel.descriptor)
    guard silence > 0 else {
      tunnel.unansweredSince = nil
      return
    }
    let lastAnswer = now - min(now, UInt64(silence) * 1_000_000)
    // Bytes may have been sent only now, after a silence in which nothing had to be acknowledged. Where nothing is under
    // way, the kernel has probed all the while; its own count of these begins anew where their pauses change
    // (`PeerReachability`).
    let since = isAtRest(tunnel) ? lastAnswer : max(tunnel.unansweredSince ?? now, lastAnswer)
    tunnel.unansweredSince = since
    guard now - since >= shared.configuration.peerTimeout.nanoseconds else { return }
    linux_reset_on_close(tunnel.channel.descriptor)
    tunnel.kill(
      .ended(
        .timedOut, peer: tunnel.channel.peer.runner.name,
        "nothing has come from it for \((now - since) / 1_000_000_000) s: it or the network is down"
      ))
  }
}
