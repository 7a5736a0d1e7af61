import Model

/// A connection of one instance to another, as the runner of the first asks the second's for it.
public struct StreamRequest: Hashable, Sendable {
  /// The deployment that both belong to.
  public let deployment: DeploymentName
  /// The instance address that the connection comes from.
  public let source: IPv4Address
  /// The instance address that it goes to.
  public let destination: IPv4Address
  /// The port that it goes to.
  public let port: PortNumber
  /// The port that it comes from, which the other runner connects from too where it can; nil where any will do.
  public let sourcePort: PortNumber?
  /// The type of service of its SYN (IP_TOS), with which the other runner connects.
  public let typeOfService: UInt8
  /// Whether the runner that asks knows the frame `urgent`.
  package var knowsUrgent = true
  /// Whether the runner that asks waits for the frame `done`.
  package var awaitsDone = true

  /// A connection from `source` to `port` of `destination`.
  public init(
    deployment: DeploymentName, source: IPv4Address, destination: IPv4Address, port: PortNumber,
    sourcePort: PortNumber? = nil, typeOfService: UInt8 = 0
  ) {
    (self.deployment, self.source, self.sourcePort) = (deployment, source, sourcePort)
    (self.destination, self.port) = (destination, port)
    self.typeOfService = typeOfService
  }
}

/// By what two runners know a connection when it moves to another tunnel: a secret of 16 bytes that
/// the accepting one made.
package struct StreamToken: Hashable, Sendable {
  package let high: UInt64
  package let low: UInt64

  /// A new token of the event loop `loop` of this process.
  package init(loop: UInt16) {
    high = UInt64.random(in: 0...UInt64.max) << 16 | UInt64(loop)
    low = UInt64.random(in: 0...UInt64.max)
  }

  /// The token of a stream that another process of this runner has begun.
  package init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

  init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 16 else { return nil }
    high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The event loop that made it.
  package var loop: Int { Int(high & 0xffff) }

  var bytes: [UInt8] {
    (0..<8).map { UInt8(high >> (56 - 8 * $0) & 0xff) }
      + (0..<8).map { UInt8(low >> (56 - 8 * $0) & 0xff) }
  }
}

/// What a runner asks for at the beginning of a stream.
package enum StreamPreface: Hashable, Sendable {
  /// A new connection.
  case open(StreamRequest)
  /// One direction of a connection that is open on another tunnel goes on here: the one in which the
  /// answering runner is `sending`, or the other.
  case resume(StreamToken, sending: Bool)

  /// The version of the protocol inside tunnels that this code speaks.
  package static let version: UInt32 = 1
  /// The most bytes that a preface or an answer may have.
  package static let maximumSize = 1024
}

/// What the other runner says to it.
package struct StreamAnswer: Hashable, Sendable {
  /// 0 where it accepted, else what connect() shall fail with.
  package let errno: Int32
  /// What the connection is known by, where it was accepted.
  package let token: StreamToken?
  /// Whether the runner that answers knows the frame `urgent`.
  package let knowsUrgent: Bool
  /// Whether the runner that answers will say `done`.
  package let saysDone: Bool

  /// An answer from its parts.
  package init(
    errno: Int32, token: StreamToken? = nil, knowsUrgent: Bool = true, saysDone: Bool = true
  ) {
    (self.errno, self.token) = (errno, token)
    (self.knowsUrgent, self.saysDone) = (knowsUrgent, saysDone)
  }
}
