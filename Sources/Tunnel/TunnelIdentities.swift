import Model
import Synchronization

/// The identity that new handshakes use, and the certificates that are refused: both change while
/// tunnels live. With them the keys by which runners that were there before are known again.
public final class TunnelIdentities: Sendable {
  private struct State {
    var current: TunnelIdentity
    var denied: Set<CertificateSerial>
    /// All are of tunnels that `current` was shown for.
    var keys = PreSharedKeys()
  }
  private let state: Mutex<State>
  private let usesPreSharedKeys: Bool

  /// Begins with `identity`, refusing the certificates with the serial numbers `denied`. Without `usesPreSharedKeys`
  /// certificates are shown for each tunnel, as runners of earlier versions do.
  public init(
    _ identity: TunnelIdentity, denied: Set<CertificateSerial> = [], usesPreSharedKeys: Bool = true
  ) {
    state = Mutex(State(current: identity, denied: denied))
    self.usesPreSharedKeys = usesPreSharedKeys
  }

  /// What the next handshake uses.
  public var current: TunnelIdentity { state.withLock { $0.current } }

  /// Has new handshakes use `identity`, and show it; tunnels that live go on with what they have.
  public func rotate(to identity: TunnelIdentity) {
    state.withLock { state in
      state.current = identity
      // They were made with authorities that may not be those of this identity.
      state.keys = PreSharedKeys()
    }
  }

  /// The serial numbers that are refused.
  public var denied: Set<CertificateSerial> { state.withLock { $0.denied } }

  /// Replaces the list of serial numbers that are refused. Live tunnels of them are ended by
  /// `Relay.enforceDenyList`.
  public func deny(_ serials: Set<CertificateSerial>) {
    state.withLock { state in
      state.denied = serials
      state.keys.remove(serials)
    }
  }

  /// Whether `serial` is refused.
  public func isDenied(_ serial: CertificateSerial) -> Bool {
    state.withLock { $0.denied.contains(serial) }
  }

  // MARK: - Pre-shared keys

  /// Whether a handshake with `runner` needs no certificates, if that one has not forgotten.
  package func knows(_ runner: RunnerIdentifier) -> Bool {
    state.withLock { $0.keys.outgoing(to: runner)?.isValid() == true }
  }

  /// The key for a handshake with `identity` to offer to `runner`.
  func key(to runner: RunnerIdentifier, as identity: TunnelIdentity) -> PreSharedKey? {
    usable(identity) { $0.outgoing(to: runner) }
  }

  /// The key that a client offers by its name in a handshake with `identity`.
  func key(named name: [UInt8], as identity: TunnelIdentity) -> PreSharedKey? {
    usable(identity) { $0.incoming(named: name) }
  }

  private func usable(
    _ identity: TunnelIdentity, _ find: (PreSharedKeys) -> PreSharedKey?
  ) -> PreSharedKey? {
    state.withLock { state in
      guard usesPreSharedKeys, state.current === identity, let key = find(state.keys),
        key.isValid(), !state.denied.contains(key.peer.serial)
      else { return nil }
      return key
    }
  }

  /// Offers `key` no more.
  func forget(_ key: PreSharedKey) { state.withLock { $0.keys.removeOutgoing(key) } }

  /// Offers `runner` no key before there is another one.
  package func forgetKey(of runner: RunnerIdentifier) {
    state.withLock { state in
      if let key = state.keys.outgoing(to: runner) { state.keys.removeOutgoing(key) }
    }
  }

  /// Keeps a key of a handshake with `identity` that this runner accepted, unless that is used no more, or the peer was
  /// denied meanwhile.
  func keepAccepted(_ key: PreSharedKey, as identity: TunnelIdentity) {
    keep(key, as: identity) { $0.addAccepted(key) }
  }

  /// The same of one that this runner began, and `offered` another key in, which was not taken. Else the one that there is
  /// stays: of many handshakes at a time each yields one, and the peer keeps only some.
  func keepBegun(_ key: PreSharedKey, offered: PreSharedKey?, as identity: TunnelIdentity) {
    keep(key, as: identity) { keys in
      let current = keys.outgoing(to: key.peer.runner)
      if current == nil || current === offered || current?.isValid() == false { keys.addBegun(key) }
    }
  }

  private func keep(
    _ key: PreSharedKey, as identity: TunnelIdentity, _ add: (inout PreSharedKeys) -> Void
  ) {
    state.withLock { state in
      guard usesPreSharedKeys, state.current === identity,
        !state.denied.contains(key.peer.serial)
      else { return }
      add(&state.keys)
    }
  }
}
