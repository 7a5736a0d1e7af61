import Glibc
import Logging
import Relay

extension Logger {
  /// Logs what a relay tells.
  func log(_ event: RelayEvent) {
    switch event {
    case .tunnelReady(let peer, let incoming, let send, let receive):
      debug(
        "tunnel \(incoming ? "from" : "to") \(peer.runner.name) ready: send \(send), receive \(receive)"
      )
    case .handshakeFailed(let error, let incoming):
      warning("\(incoming ? "incoming" : "outgoing") tunnel failed: \(error)")
    case .streamTruncated(let peer, let error):
      warning("a connection with \(peer.runner.name) was cut: \(error)")
    case .protocolViolation(let peer, let problem):
      error("\(peer.runner.name) broke the protocol: \(problem)")
    case .peerReachable(let runner, false):
      warning("\(runner.name) does not answer: connections with it stand still")
    case .peerReachable(let runner, true):
      notice("\(runner.name) answers again")
    case .tunnelsKilled(let count):
      notice("ended \(count) tunnels")
    case .acceptFailed(let errno):
      error("cannot accept tunnels: \(String(cString: strerror(errno)))")
    }
  }
}
