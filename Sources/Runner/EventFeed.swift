import Dataplane
import Model
import Synchronization

/// Hands what the data path tells to everybody who observes. A subscriber that is slow loses the
/// oldest of what it has not read, and holds nobody up.
final class EventFeed: Sendable {
  /// How many events wait for one subscriber at most.
  static let capacity = 4096

  /// How many events are kept for who asks what happened last.
  static let kept = 512

  private struct State {
    var recent = RecentEvents()
    var next = 0
    var subscriptions: [Int: any EventSubscriber] = [:]
  }

  private let state = Mutex(State())
  private let observeConnections: @Sendable (Bool) -> Void

  /// A feed; `observeConnections` is told whether anybody wants connections that open and close.
  init(observeConnections: @escaping @Sendable (Bool) -> Void) {
    self.observeConnections = observeConnections
    observeConnections(false)
  }

  /// A new subscription to what `filter` lets through, until it is ended.
  func subscribe(_ filter: EventFilter) -> EventSubscription {
    add { EventSubscription(filter, capacity: Self.capacity, ended: $0) }
  }

  /// A new subscription to summaries of what `filter` lets through, until it is ended; each has up to `kept` connections
  /// that opened or closed.
  func subscribe(_ filter: EventFilter, keeping kept: Int) -> SummarySubscription {
    add { SummarySubscription(filter, keeping: kept, ended: $0) }
  }

  private func add<Subscriber: EventSubscriber>(
    _ make: (_ ended: @escaping @Sendable () -> Void) -> Subscriber
  ) -> Subscriber {
    state.withLock { state in
      let id = state.next
      state.next += 1
      let subscription = make { [weak self] in self?.remove(id) }
      state.subscriptions[id] = subscription
      // Under the lock, so that the last word on it is right.
      observeConnections(state.subscriptions.values.contains { $0.filter.wantsConnections })
      return subscription
    }
  }

  /// What was told last, the oldest first.
  var recent: [ObservedEvent] { state.withLock { $0.recent.elements } }

  /// Hands `told` to whom it concerns; never waits.
  func publish(_ told: ObservedEvent) {
    let subscriptions = state.withLock { state in
      state.recent.add(told)
      return Array(state.subscriptions.values)
    }
    for subscription in subscriptions {
      subscription.offer(told)
    }
  }

  private func remove(_ id: Int) {
    state.withLock { state in
      state.subscriptions[id] = nil
      observeConnections(state.subscriptions.values.contains { $0.filter.wantsConnections })
    }
  }
}

/// The last that was told, at most `EventFeed.kept`.
private struct RecentEvents {
  private var ring: [ObservedEvent] = []
  private var oldest = 0

  mutating func add(_ told: ObservedEvent) {
    guard ring.count == EventFeed.kept else { return ring.append(told) }
    ring[oldest] = told
    oldest = (oldest + 1) % EventFeed.kept
  }

  var elements: [ObservedEvent] { Array(ring[oldest...] + ring[..<oldest]) }
}

/// Somebody who observes.
protocol EventSubscriber: Sendable {
  var filter: EventFilter { get }

  /// Takes it, if the filter lets it through; never waits.
  func offer(_ told: ObservedEvent)
}

/// One observer's share of the feed.
final class EventSubscription: EventSubscriber {
  let filter: EventFilter
  /// What it has not read yet; ends with `end`.
  let told: AsyncStream<ObservedEvent>
  private let continuation: AsyncStream<ObservedEvent>.Continuation
  private let lost = Atomic<UInt64>(0)

  init(_ filter: EventFilter, capacity: Int, ended: @escaping @Sendable () -> Void) {
    self.filter = filter
    (told, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(capacity))
    continuation.onTermination = { _ in ended() }
  }

  /// Queues it, if the filter lets it through; the oldest gives way where the queue is full.
  func offer(_ told: ObservedEvent) {
    guard filter.admits(told) else { return }
    if case .dropped = continuation.yield(told) { lost.add(1, ordering: .relaxed) }
  }

  /// How many events gave way since the last call.
  func takeLost() -> UInt64 { lost.exchange(0, ordering: .relaxed) }

  /// Ends it; what is queued can still be read.
  func end() { continuation.finish() }
}

/// One observer's share of the feed, in summaries.
final class SummarySubscription: EventSubscriber {
  let filter: EventFilter
  /// Has an element once there is something to take; ends with `end`.
  let due: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  private let kept: Int
  private let summary: Mutex<EventSummary>

  init(_ filter: EventFilter, keeping kept: Int, ended: @escaping @Sendable () -> Void) {
    (self.filter, self.kept) = (filter, kept)
    summary = Mutex(EventSummary(plan: filter.plan, keeping: kept))
    (due, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    continuation.onTermination = { _ in ended() }
  }

  func offer(_ told: ObservedEvent) {
    guard filter.admits(told) else { return }
    let isFirst = summary.withLock { summary in
      let wasEmpty = summary.isEmpty
      summary.add(told)
      return wasEmpty
    }
    if isFirst { continuation.yield() }
  }

  /// What happened since the last call.
  func take() -> EventSummary {
    summary.withLock { summary in
      defer { summary = EventSummary(plan: filter.plan, keeping: kept) }
      return summary
    }
  }

  /// Ends it; what there is can still be taken.
  func end() { continuation.finish() }
}
