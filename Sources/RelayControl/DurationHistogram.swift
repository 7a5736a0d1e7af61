import Synchronization

/// How long something took, how often, as Prometheus' histograms count it.
package final class DurationHistogram: Sendable {
  /// The upper bounds of the buckets, in seconds, from the least on.
  package let bounds: [Double]

  /// What was counted until a moment.
  package struct Snapshot: Sendable {
    /// The upper bounds of the buckets, in seconds, from the least on.
    package let bounds: [Double]
    /// How many took at most as long as the bound of the same place; the last is all.
    package let cumulative: [UInt64]
    /// Seconds.
    package let sum: Double

    package init(bounds: [Double], cumulative: [UInt64], sum: Double) {
      (self.bounds, self.cumulative, self.sum) = (bounds, cumulative, sum)
    }
  }

  private struct State {
    var counts: [UInt64]
    var sum = 0.0
  }

  private let state: Mutex<State>

  package init(bounds: [Double]) {
    self.bounds = bounds
    state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
  }

  /// From 100 us, what a connect between two near runners takes, to 10 s.
  package static func ofConnects() -> DurationHistogram {
    DurationHistogram(bounds: [
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
      10,
    ])
  }

  /// From 5 ms to 10 s.
  package static func ofStarts() -> DurationHistogram {
    DurationHistogram(bounds: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
  }

  /// Counts one that took so long.
  package func observe(_ duration: Duration) {
    let (whole, rest) = duration.components
    let seconds = Double(whole) + Double(rest) / 1e18
    let place = bounds.firstIndex { seconds <= $0 } ?? bounds.count
    state.withLock { state in
      state.counts[place] += 1
      state.sum += seconds
    }
  }

  /// What was counted until now.
  package var snapshot: Snapshot {
    state.withLock { state in
      var total: UInt64 = 0
      return Snapshot(
        bounds: bounds,
        cumulative: state.counts.map { count in
          total += count
          return total
        }, sum: state.sum)
    }
  }
}
