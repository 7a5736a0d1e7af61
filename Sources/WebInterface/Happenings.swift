import ControlAPI

/// What happened since pages were last told, in bounds.
struct Happenings: Equatable {
  /// How many events, and how many pairs of ends, pages are told at once.
  static let (maximumEvents, maximumPairs) = (200, 4096)

  /// Denials, and some of the connections that opened or closed.
  private(set) var events: [Istbpf_Control_V1_Event] = []
  /// How many connections opened and closed in all, and between whom.
  private(set) var connections: [Istbpf_Control_V1_ConnectionCount] = []
  /// What is in neither.
  var omitted: UInt64 = 0

  /// Adds what a runner tells.
  mutating func add(_ summary: Istbpf_Control_V1_Summary) {
    let told = summary.events.prefix(Self.maximumEvents - events.count)
    let pairs = summary.connections.prefix(Self.maximumPairs - connections.count)
    events += told
    connections += pairs
    omitted += summary.omitted + UInt64(summary.events.dropFirst(told.count).count { $0.isDenial })
    omitted += summary.connections.dropFirst(pairs.count).reduce(0) { $0 + $1.opened + $1.closed }
  }

  /// How many connections opened or closed that are in `connections` and not among the events, and what is in neither.
  var unseen: UInt64 {
    let counted = connections.reduce(0) { $0 + $1.opened + $1.closed }
    let shown = UInt64(events.count { !$0.isDenial })
    return omitted + counted - min(shown, counted)
  }
}

extension Istbpf_Control_V1_Event {
  fileprivate var isDenial: Bool {
    if case .denied = kind { true } else { false }
  }
}

extension Istbpf_Control_V1_Summary {
  /// The summary of one event.
  init(of event: Istbpf_Control_V1_Event) {
    self.init()
    events = [event]
    guard !event.isDenial else { return }
    connections = [
      .with {
        ($0.local.name, $0.local.address) = (event.local.name, event.local.address)
        ($0.peer.name, $0.peer.address) = (event.peer.name, event.peer.address)
        $0.incoming = event.incoming
        guard case .closed(let closed) = event.kind else { return $0.opened = 1 }
        $0.closed = 1
        let lastSecond = min(1, 1e9 / Double(max(1, closed.nanoseconds)))
        $0.sent = UInt64(Double(closed.sent) * lastSecond)
        $0.received = UInt64(Double(closed.received) * lastSecond)
      }
    ]
  }
}
