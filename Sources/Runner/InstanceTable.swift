import LinuxSystem
import Model

/// The instances that a runner has, each in a phase. As a sequence it is those that have not ended.
struct InstanceTable: Sequence {
  /// What an instance is to others.
  enum Phase: Sendable {
    /// Unidentified: nothing proves yet that its first process is guarded. It began to start at this time; nil where it did
    /// under an earlier daemon.
    case starting(since: ContinuousClock.Instant?)
    /// A member of its deployment, which others may connect to.
    case identified
    /// It ended, or its service was removed; what there is of it is being removed.
    case ending
  }

  private struct Entry {
    let running: RunningInstance
    var phase: Phase
    /// The network namespace with its ist0; nil where nobody has looked yet.
    var namespace: NetworkNamespace?
  }

  /// By `Instance.id`.
  private var entries: [String: Entry] = [:]
  /// The cgroups of instances whose service was removed, and in which processes go on, unidentified.
  var dismissed: Set<Cgroup> = []

  func makeIterator() -> AnyIterator<RunningInstance> {
    AnyIterator(
      entries.values.lazy.filter { !$0.phase.isEnding }.map(\.running).makeIterator())
  }

  /// How many have not ended.
  var count: Int { entries.values.count { !$0.phase.isEnding } }

  /// Those that others may connect to.
  var identified: [RunningInstance] { filter { !isStarting($0.instance.id) } }

  /// The instance with this id, if it has not ended.
  subscript(_ id: String) -> RunningInstance? {
    entries[id].flatMap { $0.phase.isEnding ? nil : $0.running }
  }

  func isStarting(_ id: String) -> Bool {
    if case .starting = entries[id]?.phase { true } else { false }
  }

  mutating func insert(
    _ running: RunningInstance, _ phase: Phase, in namespace: NetworkNamespace? = nil
  ) {
    entries[running.instance.id] = Entry(
      running: running, phase: phase, namespace: namespace)
  }

  /// It is a member of its deployment now. Returns when it began to start, where that is known.
  mutating func identify(_ id: String) -> ContinuousClock.Instant? {
    guard case .starting(let begin) = entries[id]?.phase else { return nil }
    entries[id]?.phase = .identified
    return begin
  }

  /// It is ending; false where it was already, or is not known.
  mutating func end(_ id: String) -> Bool {
    guard self[id] != nil else { return false }
    entries[id]?.phase = .ending
    return true
  }

  /// Nothing is left of an instance that ended.
  mutating func remove(_ id: String) { entries[id] = nil }

  func namespace(of id: String) -> NetworkNamespace? { entries[id]?.namespace }

  mutating func found(_ namespace: NetworkNamespace, of id: String) {
    entries[id]?.namespace = namespace
  }
}

extension InstanceTable.Phase {
  fileprivate var isEnding: Bool {
    if case .ending = self { true } else { false }
  }
}
