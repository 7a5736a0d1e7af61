import ControlAPI

/// What happened in a deployment in the last hour, in steps of 10 s.
struct History {
  /// How long a step is, in seconds, and how many are kept.
  static let (step, capacity) = (10, 360)

  /// What happened in one step: numbers of connections, and bytes both ways of those that ended.
  struct Step: Encodable, Equatable {
    /// When it began: seconds since 1970.
    let time: Int64
    var opened = 0
    var closed = 0
    var denied = 0
    var bytes: UInt64 = 0
  }

  /// Oldest first; steps in which nothing happened are left out.
  private(set) var steps: [Step] = []

  /// Counts an event.
  mutating func add(_ event: Istbpf_Control_V1_Event) {
    let time = event.time / 1_000_000_000 / Int64(Self.step) * Int64(Self.step)
    if steps.last.map({ $0.time < time }) ?? true {
      steps.append(Step(time: time))
      if steps.count > Self.capacity { steps.removeFirst() }
    }
    // One that comes late is counted in the last step.
    let last = steps.count - 1
    switch event.kind {
    case .opened: steps[last].opened += 1
    case .closed(let closed):
      steps[last].closed += 1
      steps[last].bytes += closed.sent + closed.received
    case .denied: steps[last].denied += 1
    case nil: break
    }
  }
}
