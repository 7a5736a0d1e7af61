import CLinux
import Foundation
import Glibc
import LinuxSystem
import Model
import Synchronization

/// Looks names up, again and again as their records say, on a thread of its own: whoever asks what is known
/// never waits for a resolver.
public final class NameFollower: Sendable {
  /// Says why an address must not be opened; nil where it may.
  public typealias Objection = @Sendable (IPv4Address) -> String?
  /// Is told the names of which something else is known than before, and whether that is more than the time
  /// for which it holds. On the follower's thread, so it must not wait.
  public typealias Handler = @Sendable (_ changed: Set<HostName>) -> Void

  /// How many queries may be younger than `youth` seconds, how many of these may be for names whose last look
  /// failed, and how many there may be in all. Older ones are those that the resolver lets wait, which must
  /// not keep others waiting.
  static let mostQueries = (young: 256, failing: 64, all: 4096)
  static let youth = 2.0
  /// How often at most it is told that something holds longer, in seconds.
  static let betweenRenewals = 120.0
  /// How often at most it is looked for what is due, in seconds.
  fileprivate static let tick = 0.25

  fileprivate struct State {
    var records: [HostName: NameRecord] = [:]
    /// What the thread has not begun to follow yet.
    var added: Set<HostName> = []
    /// Records that the thread is to look at since they were kept longer.
    var kept: [HostName: NameRecord] = [:]
    /// Until when records hold, as the handler was last told.
    var told: [HostName: BootTime] = [:]
    var isStopped = false
    /// Why the resolver's configuration cannot be used; nil where it can.
    var fault: String?
  }

  fileprivate let state: Mutex<State>
  fileprivate let wakeup: OwnedDescriptor
  fileprivate let resolvConf: String
  fileprivate let limits: NameLimits
  fileprivate let objection: Objection

  /// A follower of no name, that knows of some what an earlier process knew. Throws `SystemError`.
  public init(
    resolvConf: String, limits: NameLimits, known: [HostName: NameRecord] = [:],
    objection: @escaping Objection
  ) throws {
    let descriptor = linux_eventfd()
    guard descriptor >= 0 else { throw SystemError(.last, "create", "an eventfd") }
    wakeup = OwnedDescriptor(owning: descriptor)
    state = Mutex(State(records: known))
    (self.resolvConf, self.limits, self.objection) = (resolvConf, limits, objection)
  }

  /// Begins; `handler` is told what changes until `stop`.
  public func start(_ handler: @escaping Handler) {
    Thread.detachNewThread { [self] in
      var rounds = Rounds(self, handler)
      while !state.withLock({ $0.isStopped }) { rounds.once() }
    }
  }

  /// Ends it, within a moment.
  public func stop() {
    state.withLock { $0.isStopped = true }
    wake()
  }

  /// Follows these names, and no others any more.
  public func follow(_ names: Set<HostName>) {
    state.withLock { state in
      for name in state.records.keys where !names.contains(name) {
        state.records[name] = nil
        state.told[name] = nil
      }
      for name in names where state.told[name] == nil {
        state.records[name, default: NameRecord()] = state.records[name] ?? NameRecord()
        state.told[name] = state.records[name]?.validUntil
        state.added.insert(name)
      }
    }
    wake()
  }

  /// What is known of a name; nil where it is not followed.
  public func record(of name: HostName) -> NameRecord? { state.withLock { $0.records[name] } }

  /// What is known of each name that is followed.
  public var records: [HostName: NameRecord] { state.withLock { $0.records } }

  /// Why the host's resolver cannot be asked at all; nil where it can.
  public var fault: String? { state.withLock { $0.fault } }

  /// Keeps an address of a name for some seconds more, since connections use it.
  public func keep(_ address: IPv4Address, of name: HostName, seconds: Double) {
    state.withLock { state in
      state.records[name]?.keep(address, until: bootTimeNow() + seconds)
      state.kept[name] = state.records[name]
    }
    wake()
  }

  private func wake() {
    var one: UInt64 = 1
    // It fails only where the thread has been woken so often that it need not be again.
    _ = write(wakeup.rawValue, &one, MemoryLayout.size(ofValue: one))
  }
}

/// What the follower's thread has to itself.
private struct Rounds {
  private let follower: NameFollower
  private let handler: NameFollower.Handler
  /// Names to look up, and names of which something may cease to hold.
  private var looks = Schedule()
  private var expiries = Schedule()
  private var done = 0
  /// Names to look up as soon as a query is free; those whose last look failed apart.
  private var waiting: (good: [HostName], failing: [HostName]) = ([], [])
  /// Names that are being looked up, since when, and whether as failing ones.
  private var looking: [HostName: (since: BootTime, isFailing: Bool)] = [:]
  /// The last one is for new queries; others have some that were begun under another configuration.
  private var channels: [ResolverChannel] = []
  private var marks: [FileMark?] = []
  private var checked: BootTime = 0

  init(_ follower: NameFollower, _ handler: @escaping NameFollower.Handler) {
    (self.follower, self.handler) = (follower, handler)
  }

  /// Does what is due, and waits for what comes, a tick at most.
  mutating func once() {
    var changed: Set<HostName> = []
    let now = bootTimeNow()
    takeOverAdded()
    takeDue(at: now, &changed)
    begin(at: now)
    if looking.isEmpty || channels.allSatisfy(\.ended.isEmpty) { wait() }
    collect(&changed)
    if !changed.isEmpty { handler(changed) }
  }

  private mutating func takeOverAdded() {
    let (added, kept) = follower.state.withLock { state in
      defer { (state.added, state.kept) = ([], [:]) }
      return (state.added, state.kept)
    }
    waiting.good += added.filter { looking[$0] == nil }.sorted()
    for (name, record) in kept { scheduleExpiry(of: name, record) }
  }

  private mutating func takeDue(at now: BootTime, _ changed: inout Set<HostName>) {
    let tick = Int(now / NameFollower.tick)
    guard tick > done else { return }
    done = tick
    for name in looks.takeDue(at: tick) where looking[name] == nil {
      switch follower.record(of: name)?.isFailing {
      case true?: waiting.failing.append(name)
      case false?: waiting.good.append(name)
      case nil: break
      }
    }
    for name in expiries.takeDue(at: tick) {
      let record = follower.state.withLock { state -> NameRecord? in
        let before = state.records[name]
        state.records[name]?.expire(at: now, follower.limits)
        if let before, state.records[name]?.isLike(before) == false { changed.insert(name) }
        return state.records[name]
      }
      if let record { scheduleExpiry(of: name, record) }
    }
  }

  private mutating func scheduleExpiry(of name: HostName, _ record: NameRecord) {
    guard let time = record.nextExpiry(follower.limits) else { return }
    expiries.schedule(name, at: time)
  }

  // MARK: Queries

  private mutating func begin(at now: BootTime) {
    guard !waiting.good.isEmpty || !waiting.failing.isEmpty else { return }
    let young = looking.values.filter { now - $0.since < NameFollower.youth }
    let free = min(
      NameFollower.mostQueries.young - young.count, NameFollower.mostQueries.all - looking.count)
    let freeForFailing = NameFollower.mostQueries.failing - young.count(where: \.isFailing)
    guard free > 0 else { return }
    renewChannel(at: now)
    let good = waiting.good.prefix(free)
    waiting.good.removeFirst(good.count)
    let failing = waiting.failing.prefix(max(0, min(free - good.count, freeForFailing)))
    waiting.failing.removeFirst(failing.count)
    for (name, isFailing) in good.map({ ($0, false) }) + failing.map({ ($0, true) })
    where looking[name] == nil && follower.record(of: name) != nil {
      looking[name] = (now, isFailing)
      channels.last?.look(for: name)
    }
  }

  /// A channel is made anew where the resolver's configuration changed.
  private mutating func renewChannel(at now: BootTime) {
    channels = Array(channels.dropLast().filter { $0.pending > 0 }) + channels.suffix(1)
    guard channels.isEmpty || now - checked > 2 else { return }
    checked = now
    let marks = [follower.resolvConf, "/etc/nsswitch.conf"].map(FileMark.init)
    guard channels.isEmpty || marks != self.marks else { return }
    do {
      channels.append(try ResolverChannel(resolvConf: follower.resolvConf))
      self.marks = marks
      follower.state.withLock { $0.fault = nil }
    } catch {
      // The one before goes on; without any, every look fails.
      follower.state.withLock { $0.fault = "\(error)" }
    }
  }

  private mutating func wait() {
    let isIdle = looks.isEmpty && looking.isEmpty && waiting.good.isEmpty && waiting.failing.isEmpty
    var patience = isIdle && expiries.isEmpty ? 3600 : NameFollower.tick
    var entries = [pollfd(fd: follower.wakeup.rawValue, events: Int16(POLLIN), revents: 0)]
    for channel in channels {
      patience = channel.patience(most: patience)
      entries += channel.awaited.map { pollfd(fd: $0.key, events: $0.value, revents: 0) }
    }
    let count = poll(&entries, nfds_t(entries.count), Int32((patience * 1000).rounded(.up)))
    if count > 0, entries[0].revents != 0 {
      var number: UInt64 = 0
      _ = read(follower.wakeup.rawValue, &number, MemoryLayout.size(ofValue: number))
    }
    for channel in channels where channel.pending > 0 || !channel.awaited.isEmpty {
      channel.proceed(entries.dropFirst().filter { channel.awaited[$0.fd] != nil })
    }
  }

  /// Takes over what came.
  private mutating func collect(_ changed: inout Set<HostName>) {
    var ended: [(name: HostName, outcome: LookupOutcome)] = []
    for channel in channels {
      ended += channel.ended
      channel.ended = []
    }
    if channels.isEmpty, !looking.isEmpty {
      let problem = follower.fault ?? "the resolver cannot be asked"
      ended = looking.keys.map { ($0, .failure(problem)) }
    }
    guard !ended.isEmpty else { return }
    let now = bootTimeNow()
    for (name, outcome) in ended {
      looking[name] = nil
      let record = follower.state.withLock { state -> NameRecord? in
        guard var record = state.records[name] else { return nil }
        let before = record
        record.take(outcome, at: now, follower.limits, objection: follower.objection)
        state.records[name] = record
        let renewed = record.validUntil - (state.told[name] ?? 0) >= NameFollower.betweenRenewals
        if !record.isLike(before) || renewed {
          changed.insert(name)
          state.told[name] = record.validUntil
        }
        return record
      }
      guard let record else { continue }
      looks.schedule(name, at: record.nextLook)
      scheduleExpiry(of: name, record)
    }
  }
}

/// What is to be done with names, and when: each name stands in it once.
private struct Schedule {
  private var days: [Int: [HostName]] = [:]
  private var ticks: [HostName: Int] = [:]

  var isEmpty: Bool { ticks.isEmpty }

  /// Puts a name down for a time, instead of the one for which it stands here.
  mutating func schedule(_ name: HostName, at time: BootTime) {
    let tick = Int((time / NameFollower.tick).rounded(.up))
    guard ticks.updateValue(tick, forKey: name) != tick else { return }
    days[tick, default: []].append(name)
  }

  /// Takes out what is due at a tick.
  mutating func takeDue(at tick: Int) -> [HostName] {
    var due: [HostName] = []
    for day in days.keys where day <= tick {
      for name in days[day] ?? [] where ticks[name] == day {
        ticks[name] = nil
        due.append(name)
      }
      days[day] = nil
    }
    return due
  }
}

/// Tells whether a file is the one that it was.
private struct FileMark: Hashable {
  let inode: UInt64
  let size: Int64
  let seconds: Int
  let nanoseconds: Int

  /// Nil where there is no such file.
  init?(_ path: String) {
    var found = stat()
    guard stat(path, &found) == 0 else { return nil }
    (inode, size) = (UInt64(found.st_ino), Int64(found.st_size))
    (seconds, nanoseconds) = (found.st_mtim.tv_sec, found.st_mtim.tv_nsec)
  }
}
