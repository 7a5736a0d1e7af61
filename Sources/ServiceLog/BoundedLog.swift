import LinuxSystem
import Logging
import Synchronization

/// A log that what happens outside cannot fill a disk with: each statement that logs may write 20 lines
/// at once, and 10 a minute after that. The next that it writes says how many were left out.
///
/// Trace and debug are not bounded: who asks for them wants all.
public struct BoundedLog: LogHandler {
  private var inner: any LogHandler
  private let budget: LogBudget
  private let threshold: LogThreshold
  private let recent: RecentLog?
  /// A level that one logger has, beside that of all.
  private var own: Logger.Level?

  /// To standard error, as text; to systemd's journal with fields where that is connected to it. From the level on
  /// that `threshold` has at the time. And to `recent`.
  public static func standardError(
    label: String, threshold: LogThreshold, recent: RecentLog? = nil
  ) -> BoundedLog {
    let journal = Journal.ofStandardError()
    return BoundedLog(
      inner: journal.map { JournalLog(journal: $0, label: label) } ?? TextLog(label: label),
      threshold: threshold, recent: recent)
  }

  private init(inner: any LogHandler, threshold: LogThreshold, recent: RecentLog?) {
    (self.inner, self.threshold, budget) = (inner, threshold, LogBudget())
    self.recent = recent
    // What is below the level does not come here.
    self.inner.logLevel = .trace
  }

  /// Logs it, or counts it.
  public func log(event: LogEvent) {
    guard event.level >= .info else { return write(event) }
    let place = LogBudget.Place(file: event.file, line: event.line)
    guard let omitted = budget.spend(at: place, now: .now) else { return }
    guard omitted > 0 else { return write(event) }
    var event = event
    event.message = "\(event.message) (and \(omitted) more like this, not logged)"
    write(event)
  }

  private func write(_ event: LogEvent) {
    inner.log(event: event)
    recent?.add("\(event.level) \(event.message)")
  }

  /// That of all, or the one that was set, whichever lets less through.
  public var logLevel: Logger.Level {
    get { max(own ?? .trace, threshold.level) }
    set { own = newValue }
  }

  /// As the handler behind has it.
  public var metadata: Logger.Metadata {
    get { inner.metadata }
    set { inner.metadata = newValue }
  }

  /// As the handler behind has it.
  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { inner[metadataKey: key] }
    set { inner[metadataKey: key] = newValue }
  }
}

/// How much is logged, for all loggers of a process; may change at any time.
public final class LogThreshold: Sendable {
  private let value: Mutex<Logger.Level>

  /// A threshold at `level`.
  public init(_ level: Logger.Level = .info) { value = Mutex(level) }

  /// What is below it is not logged.
  public var level: Logger.Level {
    get { value.withLock { $0 } }
    set { value.withLock { $0 = newValue } }
  }
}

/// How many lines each place may still log.
final class LogBudget: Sendable {
  /// A statement of the program. There are only so many, and so of what is kept for them.
  struct Place: Hashable, Sendable {
    let file: String
    let line: UInt
  }

  /// The lines that a place has in hand when it has been silent.
  static let burst = 20
  /// What it takes to earn one more.
  static let interval = Duration.seconds(6)

  private struct Account {
    var left = LogBudget.burst
    var omitted = 0
    /// When the last line was earned.
    var time: ContinuousClock.Instant
  }

  private let accounts = Mutex<[Place: Account]>([:])

  /// Takes a line for `place`: nil where it has none left, else how many were left out since its last.
  func spend(at place: Place, now: ContinuousClock.Instant) -> Int? {
    accounts.withLock { accounts in
      var account = accounts[place] ?? Account(time: now)
      defer { accounts[place] = account }
      while account.left < Self.burst, now - account.time >= Self.interval {
        account.left += 1
        account.time += Self.interval
      }
      if account.left == Self.burst { account.time = now }
      guard account.left > 0 else {
        account.omitted += 1
        return nil
      }
      account.left -= 1
      defer { account.omitted = 0 }
      return account.omitted
    }
  }
}
