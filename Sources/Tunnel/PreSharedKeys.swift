import Model

/// The pre-shared keys of a runner, by the role that it has in handshakes with them.
struct PreSharedKeys {
  /// As a client: one for each runner.
  private var outgoing: [RunnerIdentifier: PreSharedKey] = [:]
  /// As a server, by name.
  private var incoming: [[UInt8]: PreSharedKey] = [:]
  /// The names of each runner's, oldest first.
  private var names: [RunnerIdentifier: [[UInt8]]] = [:]

  /// How many keys of one runner a server knows. The runner uses one, from whichever of the handshakes that it began at a
  /// time.
  static let most = 1024

  /// The one for `runner` to offer.
  func outgoing(to runner: RunnerIdentifier) -> PreSharedKey? { outgoing[runner] }

  /// The one of that name, of whichever runner.
  func incoming(named name: [UInt8]) -> PreSharedKey? { incoming[name] }

  /// Adds one from a handshake that this runner began, in place of the one before.
  mutating func addBegun(_ key: PreSharedKey) { outgoing[key.peer.runner] = key }

  /// Adds one from a handshake that this runner accepted. The runner's oldest go, and those that are over.
  mutating func addAccepted(_ key: PreSharedKey) {
    incoming[key.name] = key
    var names = names[key.peer.runner, default: []] + [key.name]
    while names.count > Self.most || incoming[names[0]]?.isValid() != true {
      incoming[names.removeFirst()] = nil
      if names.isEmpty { break }
    }
    self.names[key.peer.runner] = names
  }

  /// Forgets one that was to be offered.
  mutating func removeOutgoing(_ key: PreSharedKey) {
    if outgoing[key.peer.runner] === key { outgoing[key.peer.runner] = nil }
  }

  /// Forgets those of certificates with these serial numbers.
  mutating func remove(_ serials: Set<CertificateSerial>) {
    outgoing = outgoing.filter { !serials.contains($0.value.peer.serial) }
    incoming = incoming.filter { !serials.contains($0.value.peer.serial) }
    names = names.mapValues { $0.filter { incoming[$0] != nil } }.filter { !$0.value.isEmpty }
  }
}
