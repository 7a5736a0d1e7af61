import Dataplane
import Model

/// What happened until somebody asks, in bounds: of connections how many there were between whom, and the newest of them.
struct EventSummary: Sendable {
  /// An instance and who it talks to.
  struct Pair: Hashable, Sendable {
    let instance: Identity
    /// Nil for all that is outside the deployment.
    let peer: IPv4Address?
    /// Whether the peer is the caller.
    let isIncoming: Bool
  }

  /// What two ends did. Bytes are of connections that closed, as the instance's end sees it.
  struct Count: Equatable, Sendable {
    var opened: UInt64 = 0
    var closed: UInt64 = 0
    var sent: UInt64 = 0
    var received: UInt64 = 0
  }

  /// How many pairs, and how many denials, one summary has at most.
  static let (maximumPairs, maximumDenials) = (4096, 1024)

  private let plan: AddressPlan
  /// How many connections that open or close it keeps.
  private let kept: Int

  /// By whom with whom.
  private(set) var pairs: [Pair: Count] = [:]
  /// What was denied, oldest first.
  private(set) var denials: [Event] = []
  /// What instances had too much of, as `EventReader` tells it.
  private(set) var untold: [ObservedEvent] = []
  /// Denials, and connections that are in no pair, beyond what it has room for.
  private(set) var omitted: UInt64 = 0
  /// Up to twice as many as are kept, so that old ones give way many at a time.
  private var recent: [Event] = []

  /// An empty summary, that keeps so many connections which open or close.
  init(plan: AddressPlan, keeping kept: Int) {
    (self.plan, self.kept) = (plan, kept)
  }

  var isEmpty: Bool {
    pairs.isEmpty && denials.isEmpty && untold.isEmpty && omitted == 0
  }

  /// The newest connections that opened or closed, oldest first.
  var connections: ArraySlice<Event> { recent.suffix(kept) }

  /// Adds what was told.
  mutating func add(_ told: ObservedEvent) {
    guard case .event(let event) = told else { return untold.append(told) }
    if case .denied = event.kind {
      guard denials.count < Self.maximumDenials else { return omitted += 1 }
      return denials.append(event)
    }
    keep(event)
    // Connections are those of instances alone.
    guard let instance = event.instance else { return omitted += 1 }
    let peer = event.peer.ipv4.flatMap { plan.offset(of: $0) == nil ? nil : $0 }
    let pair = Pair(instance: instance, peer: peer, isIncoming: event.isIncoming)
    guard pairs[pair] != nil || pairs.count < Self.maximumPairs else { return omitted += 1 }
    pairs[pair, default: Count()].add(event.kind)
  }

  private mutating func keep(_ event: Event) {
    guard kept > 0 else { return }
    if recent.count >= 2 * kept { recent.removeFirst(recent.count - kept + 1) }
    recent.append(event)
  }
}

extension EventSummary.Count {
  fileprivate mutating func add(_ kind: Event.Kind) {
    switch kind {
    case .opened: opened += 1
    case .closed(let closing):
      closed += 1
      sent &+= Self.ofLastSecond(closing.sent, closing.nanoseconds)
      received &+= Self.ofLastSecond(closing.received, closing.nanoseconds)
    case .denied: break
    }
  }

  /// What a connection that lived for so long carried in its last second, by its mean.
  private static func ofLastSecond(_ bytes: UInt64, _ nanoseconds: UInt64) -> UInt64 {
    let second: UInt64 = 1_000_000_000
    guard nanoseconds > second else { return bytes }
    return UInt64(Double(bytes) * (Double(second) / Double(nanoseconds)))
  }
}
