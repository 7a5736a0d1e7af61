import Model

/// The pre-shared keys of a runner, by the role that it has in handshakes with them.
struct PreSharedKeys {
  /// As a client: the newest for each runner.
  private var outgoing: [RunnerIdentifier: PreSharedKey] = [:]
  /// As a server, by name.
  private var incoming: [[UInt8]: PreSharedKey] = [:]
  /// The names of each runner's, oldest first.
  private var names: [RunnerIdentifier: [[UInt8]]] = [:]

  /// How many keys of one runner a server knows. The runner uses its newest, and several handshakes may end at a time.
  private static let most = 8

  /// The one for `runner` to offer.
  func outgoing(to runner: RunnerIdentifier) -> PreSharedKey? { outgoing[runner] }

  /// The one of that name, of whichever runner.
  func incoming(named name: UnsafeRawBufferPointer) -> PreSharedKey? { incoming[Array(name)] }

  /// Adds one from a handshake that was accepted, or begun, by this runner.
  mutating func add(_ key: PreSharedKey, accepted: Bool) {
    guard accepted else {
      outgoing[key.peer.runner] = key
      return
    }
    let name = Array(key.name)
    incoming[name] = key
    names[key.peer.runner, default: []].append(name)
    if let old = names[key.peer.runner], old.count > Self.most {
      incoming[old[0]] = nil
      names[key.peer.runner]?.removeFirst()
    }
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
