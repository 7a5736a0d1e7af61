import Dispatch
import Foundation
import Glibc
import LinuxSystem
import Logging
import Model
import RelayControl
import ServiceLog
import Synchronization

/// istbpf-relay: carries the connections between this runner and others, to outside and from the front door, by what
/// istbpfd says, and goes on by that when there is no istbpfd.
public enum RelayProcess {
  /// How long istbpfd may take to say what there is, where it runs.
  private static let patience = Duration.seconds(5)
  /// How often it is looked whether the installation is still there.
  private static let interval = Duration.seconds(1)
  /// How many of these pass at most until is tried again what could not be done.
  private static let longestPause = 60

  /// Gives up what this process has no use for. To be called while it has one thread: those that come later inherit it.
  /// Throws `SystemError`.
  public static func restrict() throws {
    CrashHandling.endAtOnce()
    try CredentialDrop.keepOnly(.carrier)
    try SystemCallFilter.applyForCarrier()
  }

  /// Runs until SIGTERM, until istbpfd says so, or until the installation has been removed. Throws `SystemError`, or
  /// `LockFile.Held` where another one runs.
  public static func run(
    _ installation: Installation, threshold: LogThreshold, recent: RecentLog, logger: Logger
  ) async throws {
    // What ps and killall know it by; it does without.
    try? SmallFile.write("istbpf-relay", to: "/proc/self/comm")
    // Where standard error has gone, the log is in its file.
    for number in [SIGPIPE, SIGHUP] { signal(number, SIG_IGN) }
    let files = try StateFiles(in: installation.relayDirectory)
    let place = RelayPlace(of: installation, logger: logger)
    try place.lock()
    recent.keep(in: installation.relayLogPath)
    let (ends, end) = AsyncStream.makeStream(of: Void.self)
    let handler = CommandHandler(
      files: files, place: place, logger: logger, threshold: threshold
    ) { end.yield() }
    let signals = [SIGTERM, SIGINT].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number)
      source.setEventHandler { end.yield() }
      source.activate()
      return source
    }
    try place.listen { [weak handler] in handler?.serve($0) }
    let background = Task {
      // It has the listening sockets of the relay before, which are in the way of others.
      if (try? LockFile.isHeld(installation.lockPath)) == true {
        try await Task.sleep(for: patience)
      }
      var isWhole = handler.resume()
      var (pause, waited) = (1, 0)
      while place.isThere {
        try await Task.sleep(for: interval)
        waited += 1
        guard !isWhole, waited >= pause else { continue }
        isWhole = handler.resumeAgain()
        (pause, waited) = (min(2 * pause, longestPause), 0)
      }
      logger.notice("the installation is not there any more")
      end.yield()
    }
    logger.info("istbpf-relay \(istbpfVersion) has started")
    for await _ in ends { break }
    background.cancel()
    for source in signals { source.cancel() }
    logger.notice("istbpf-relay ends, and its connections with it")
    place.stopListening()
    handler.end()
    place.end()
  }
}
