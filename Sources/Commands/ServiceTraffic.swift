import ControlAPI

/// What services do, from one look to the next: connections that are open, and what passed over them and over those that
/// ended meanwhile.
struct ServiceTraffic {
  /// A service, as `istbpf top` shows it. Rates are those since the look before, a second.
  struct Row: Encodable, Equatable {
    /// `shop/db`
    let service: String
    var instances = 0
    /// Those of them that accept connections.
    var listening = 0
    /// Connections to it, and from it, that are open.
    var incoming = 0
    var outgoing = 0
    /// Connections to it that opened.
    var opened = 0.0
    /// Bytes that it sent, and that it got.
    var sent = 0.0
    var received = 0.0
    /// Denials since the look before, and since it was declared.
    var denied = 0.0
    var denials: UInt64 = 0

    /// A row of a service that does nothing.
    init(service: String) { self.service = service }
  }

  /// What the rows are sorted by: the most first, but for names.
  enum Order: String, CaseIterable {
    case service, connections, new, bytes, denials

    func precedes(_ left: Row, _ right: Row) -> Bool {
      let (a, b) = (values(left), values(right))
      return a == b ? left.service < right.service : b.lexicographicallyPrecedes(a)
    }

    private func values(_ row: Row) -> [Double] {
      switch self {
      case .service: []
      case .connections: [Double(row.incoming + row.outgoing)]
      case .new: [row.opened]
      case .bytes: [row.sent + row.received]
      case .denials: [row.denied, Double(row.denials)]
      }
    }
  }

  private struct Ends: Hashable {
    let local: String
    let peer: String
  }

  private struct Bytes {
    var sent: UInt64 = 0
    var received: UInt64 = 0
  }

  /// The bytes of each connection at the last look, as its local end counts.
  private var seen: [Ends: Bytes] = [:]
  private var looked: ContinuousClock.Instant?
  /// What events brought since: connections to a service, and bytes of a service.
  private var opened: [String: Int] = [:]
  private var passed: [String: Bytes] = [:]
  private var denials: [String: UInt64] = [:]
  private var known: Set<String> = []

  /// Takes an event that was observed.
  mutating func add(_ event: Istbpf_Control_V1_Event) {
    switch event.kind {
    case .opened: if let service = service(event.destination) { opened[service, default: 0] += 1 }
    case .closed(let closed):
      let before = seen.removeValue(forKey: Self.ends(event.local, event.peer)) ?? Bytes()
      pass(
        Bytes(
          sent: closed.sent - min(closed.sent, before.sent),
          received: closed.received - min(closed.received, before.received)),
        from: event.local, to: event.peer)
    case .denied, nil: break
    }
  }

  private mutating func pass(
    _ bytes: Bytes, from local: Istbpf_Control_V1_Endpoint, to peer: Istbpf_Control_V1_Endpoint
  ) {
    if let service = service(local) {
      passed[service, default: Bytes()].sent += bytes.sent
      passed[service, default: Bytes()].received += bytes.received
    }
    if let service = service(peer) {
      passed[service, default: Bytes()].sent += bytes.received
      passed[service, default: Bytes()].received += bytes.sent
    }
  }

  /// Takes what there is now, of all deployments that are shown, and returns a row for each of their services. The first
  /// time all rates are 0.
  mutating func look(
    _ deployments: [Istbpf_Control_V1_DeploymentStatus],
    _ traffic: [Istbpf_Control_V1_GetTrafficResponse], at now: ContinuousClock.Instant
  ) -> [Row] {
    var rows: [String: Row] = [:]
    for deployment in deployments {
      for service in deployment.services {
        let name = "\(deployment.name)/\(service.name)"
        rows[name] = Row(service: name)
        rows[name]?.instances = deployment.instances.count { $0.service == service.name }
        rows[name]?.denials = service.denials.reduce(0) { $0 + $1.count }
      }
    }
    known = Set(rows.keys)
    var counted: [Ends: Bytes] = [:]
    for connection in traffic.flatMap(\.connections) {
      let ends = Self.ends(connection.local, connection.peer)
      let bytes = Bytes(sent: connection.sent, received: connection.received)
      let before = seen[ends] ?? Bytes()
      counted[ends] = bytes
      pass(
        Bytes(
          sent: bytes.sent - min(bytes.sent, before.sent),
          received: bytes.received - min(bytes.received, before.received)),
        from: connection.local, to: connection.peer)
      let (caller, callee) =
        connection.incoming
        ? (connection.peer, connection.local) : (connection.local, connection.peer)
      if let service = service(caller) { rows[service]?.outgoing += 1 }
      if let service = service(callee) { rows[service]?.incoming += 1 }
    }
    for instance in traffic.flatMap(\.listening) where !instance.ports.isEmpty {
      if let service = service(named: instance.instance) { rows[service]?.listening += 1 }
    }
    if let looked {
      let seconds = max(0.001, (now - looked) / .seconds(1))
      for (service, count) in opened { rows[service]?.opened = Double(count) / seconds }
      for (service, bytes) in passed {
        rows[service]?.sent = Double(bytes.sent) / seconds
        rows[service]?.received = Double(bytes.received) / seconds
      }
      for (service, row) in rows {
        guard let before = denials[service], row.denials > before else { continue }
        rows[service]?.denied = Double(row.denials - before) / seconds
      }
    }
    denials = rows.mapValues(\.denials)
    (seen, looked, opened, passed) = (counted, now, [:], [:])
    return Array(rows.values)
  }

  private static func ends(
    _ local: Istbpf_Control_V1_Endpoint, _ peer: Istbpf_Control_V1_Endpoint
  ) -> Ends {
    // Addresses alone are not enough: each deployment has the same.
    Ends(
      local: "\(local.name) \(local.address):\(local.port)", peer: "\(peer.address):\(peer.port)")
  }

  private func service(_ end: Istbpf_Control_V1_Endpoint) -> String? { service(named: end.name) }

  /// The service of an instance or service address; nil for what is no service.
  private func service(named name: String) -> String? {
    if let dot = name.lastIndex(of: "."), name[name.index(after: dot)...].allSatisfy(\.isNumber),
      known.contains(String(name[..<dot]))
    {
      return String(name[..<dot])
    }
    return known.contains(name) ? name : nil
  }
}
