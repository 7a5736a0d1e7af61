import CLinux
import Tunnel

/// How a relay behaves. All durations are those of a monotonic clock.
public struct RelayConfiguration: Sendable {
  /// The event loops, each a thread: one for each CPU that this process may use.
  public var loops = max(1, Int(linux_cpu_count()))
  /// Whether the kernel may encrypt. Without, or where it cannot, this process does.
  public var usesKernelTLS = true
  /// How long a TLS handshake may take, on either side.
  public var handshakeTimeout = Duration.seconds(5)
  /// The most handshakes of incoming tunnels that may be under way. One more ends the oldest of an
  /// address that has the most, and one address never has more than a quarter, so that a flood does not
  /// drive out the others.
  public var maximumHalfOpen = 1024
  /// The most tunnels, incoming and outgoing together.
  public var maximumTunnels = 32_768
  /// The most tunnels to one peer that are being made at a time, per loop.
  public var maximumDialsPerPeer = 32
  /// How long the other runner may take from a preface's first byte to its last, and this one to decide on it.
  public var answerTimeout = Duration.seconds(10)
  /// How long an outgoing tunnel may be idle before it is closed, but for one to each peer and loop.
  public var idleTimeout = Duration.seconds(60)
  /// The same for that one, which begins to count when nothing is carried to the peer any more.
  public var readyTimeout = Duration.seconds(600)
  /// The silence after which a peer is probed.
  public var keepAlive = Duration.seconds(10)
  /// How long a peer may acknowledge nothing, neither bytes nor probes, before its tunnels and their
  /// streams are given up; it is noticed at most half of that later. A peer that acknowledges but
  /// takes no bytes is waited for without end, as TCP has it.
  public var peerTimeout = Duration.seconds(30)
  /// What the kernel may keep of all streams, in bytes, half of it for those of one deployment; half as much again of what
  /// was promised to those that rest. Streams beyond that make do with the least (`BufferLimits.scarce`).
  public var bufferBudget = BufferBudget.standard
  /// How much one key may seal.
  public var keyUsage = KeyUsageLimit.standard

  /// The standard configuration.
  public init() {}
}

extension Duration {
  /// The duration in nanoseconds, 0 where it is negative.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
  }
}
