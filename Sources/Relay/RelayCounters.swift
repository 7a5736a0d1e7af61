import Synchronization

/// What a relay has done since it began, and what it has now.
public struct RelayCounters: Hashable, Sendable {
  /// Streams that this runner opened and the other accepted.
  public var streamsOpened = 0
  /// Streams that this runner accepted.
  public var streamsAccepted = 0
  /// Streams that either side refused.
  public var streamsRefused = 0
  /// Streams that were broken off because a tunnel ended early.
  public var streamsTruncated = 0
  /// Times that a direction of a stream moved to another tunnel.
  public var streamsMoved = 0
  /// Streams that are open.
  public var streamsLive = 0
  /// Bytes of the programs that were sent into tunnels.
  public var bytesSent = 0
  /// Bytes of the programs that came out of tunnels.
  public var bytesReceived = 0
  /// Handshakes that ended well, incoming and outgoing.
  public var handshakes = 0
  /// Of these, those that began with a key of an earlier tunnel, without certificates.
  public var handshakesResumed = 0
  /// Handshakes that failed, incoming and outgoing.
  public var handshakesFailed = 0
  /// Incoming handshakes that were ended to make room for others.
  public var handshakesEvicted = 0
  /// Opened streams that found a tunnel that had carried another before.
  public var tunnelsReused = 0
  /// Tunnels that are there.
  public var tunnelsLive = 0
  /// Of these, those that the kernel encrypts in both directions.
  public var tunnelsKernel = 0
  /// Connections that need no tunnel and live.
  public var pairsLive = 0
}

/// One loop's counters: written by its thread alone, read by any.
final class LoopCounters: Sendable {
  let streamsOpened = Atomic(0)
  let streamsAccepted = Atomic(0)
  let streamsRefused = Atomic(0)
  let streamsTruncated = Atomic(0)
  let streamsMoved = Atomic(0)
  let streamsLive = Atomic(0)
  let bytesSent = Atomic(0)
  let bytesReceived = Atomic(0)
  let handshakes = Atomic(0)
  let handshakesResumed = Atomic(0)
  let handshakesFailed = Atomic(0)
  let handshakesEvicted = Atomic(0)
  let tunnelsReused = Atomic(0)
  let tunnelsLive = Atomic(0)
  let tunnelsKernel = Atomic(0)
  let pairsLive = Atomic(0)

  func add(to sum: inout RelayCounters) {
    sum.streamsOpened += streamsOpened.load(ordering: .relaxed)
    sum.streamsAccepted += streamsAccepted.load(ordering: .relaxed)
    sum.streamsRefused += streamsRefused.load(ordering: .relaxed)
    sum.streamsTruncated += streamsTruncated.load(ordering: .relaxed)
    sum.streamsMoved += streamsMoved.load(ordering: .relaxed)
    sum.streamsLive += streamsLive.load(ordering: .relaxed)
    sum.bytesSent += bytesSent.load(ordering: .relaxed)
    sum.bytesReceived += bytesReceived.load(ordering: .relaxed)
    sum.handshakes += handshakes.load(ordering: .relaxed)
    sum.handshakesResumed += handshakesResumed.load(ordering: .relaxed)
    sum.handshakesFailed += handshakesFailed.load(ordering: .relaxed)
    sum.handshakesEvicted += handshakesEvicted.load(ordering: .relaxed)
    sum.tunnelsReused += tunnelsReused.load(ordering: .relaxed)
    sum.tunnelsLive += tunnelsLive.load(ordering: .relaxed)
    sum.tunnelsKernel += tunnelsKernel.load(ordering: .relaxed)
    sum.pairsLive += pairsLive.load(ordering: .relaxed)
  }
}

extension Atomic where Value == Int {
  /// Adds; for the one thread that writes.
  func add(_ number: Int) {
    store(load(ordering: .relaxed) &+ number, ordering: .relaxed)
  }
}
