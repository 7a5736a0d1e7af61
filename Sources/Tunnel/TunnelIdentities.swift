import Synchronization

/// The identity that new handshakes use, and the certificates that are refused: both change while
/// tunnels live.
public final class TunnelIdentities: Sendable {
  private struct State {
    var current: TunnelIdentity
    var denied: Set<CertificateSerial>
  }
  private let state: Mutex<State>

  /// Begins with `identity`, refusing the certificates with the serial numbers `denied`.
  public init(_ identity: TunnelIdentity, denied: Set<CertificateSerial> = []) {
    state = Mutex(State(current: identity, denied: denied))
  }

  /// What the next handshake uses.
  public var current: TunnelIdentity { state.withLock { $0.current } }

  /// Has new handshakes use `identity`; tunnels that live go on with what they have.
  public func rotate(to identity: TunnelIdentity) { state.withLock { $0.current = identity } }

  /// The serial numbers that are refused.
  public var denied: Set<CertificateSerial> { state.withLock { $0.denied } }

  /// Replaces the list of serial numbers that are refused. Live tunnels of them are ended by
  /// `Relay.enforceDenyList`.
  public func deny(_ serials: Set<CertificateSerial>) { state.withLock { $0.denied = serials } }

  /// Whether `serial` is refused.
  public func isDenied(_ serial: CertificateSerial) -> Bool {
    state.withLock { $0.denied.contains(serial) }
  }
}
