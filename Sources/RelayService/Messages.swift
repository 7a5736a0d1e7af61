import Model
import Relay
import RelayControl

extension PublicRoute {
  /// The service of a message. Throws `ImpossibleMessage`, `InvalidName` or `InvalidPort`.
  init(_ message: Istbpf_Relay_V1_PublicService) throws {
    self.init(
      socketPath: message.socket, title: message.title,
      deployment: try DeploymentName(message.deployment),
      service: try ServiceNumber(relayed: message.number), port: try PortNumber(Int(message.port)))
  }
}

extension Istbpf_Relay_V1_Durations {
  init(_ snapshot: DurationHistogram.Snapshot) {
    self.init()
    (bounds, cumulative, sum) = (snapshot.bounds, snapshot.cumulative, snapshot.sum)
  }
}

extension Istbpf_Relay_V1_Statistics {
  mutating func add(_ counters: RelayCounters) {
    streamsOpened = UInt64(clamping: counters.streamsOpened)
    streamsAccepted = UInt64(clamping: counters.streamsAccepted)
    streamsRefused = UInt64(clamping: counters.streamsRefused)
    streamsTruncated = UInt64(clamping: counters.streamsTruncated)
    streamsMoved = UInt64(clamping: counters.streamsMoved)
    streamsLive = UInt64(clamping: counters.streamsLive)
    bytesSent = UInt64(clamping: counters.bytesSent)
    bytesReceived = UInt64(clamping: counters.bytesReceived)
    handshakes = UInt64(clamping: counters.handshakes)
    handshakesResumed = UInt64(clamping: counters.handshakesResumed)
    handshakesFailed = UInt64(clamping: counters.handshakesFailed)
    handshakesEvicted = UInt64(clamping: counters.handshakesEvicted)
    tunnelsReused = UInt64(clamping: counters.tunnelsReused)
    tunnelsLive = UInt64(clamping: counters.tunnelsLive)
    tunnelsKernel = UInt64(clamping: counters.tunnelsKernel)
    pairsLive = UInt64(clamping: counters.pairsLive)
  }
}
