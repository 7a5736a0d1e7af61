import Foundation

/// One daemon of a test's runner, from its start to its end.
public final class RunnerDaemon: @unchecked Sendable {
  // Safe because each is used by the one test that it is made for.
  private let conversation: Conversation

  /// Starts it; `wrapper` stands before its command and must pass on to it.
  init(_ runner: RunnerLaboratory, wrapper: [String], options: [String]) throws {
    conversation = try Conversation(
      wrapper + [try Product.istbpfd(), "--installation", runner.installation.name] + options)
  }

  /// Its process id.
  public var processID: Int32 { conversation.processID }

  /// Whether it has not ended.
  public var isRunning: Bool { conversation.isRunning }

  /// What it has logged.
  public var log: String { conversation.errorText }

  /// Waits until it says that it is ready, a minute at most.
  public func awaitReady() throws {
    let deadline = Date() + 60
    // Other lines have the word, too.
    while !log.contains("] ready\n") {
      guard conversation.isRunning, Date() < deadline else {
        throw Conversation.Silence(description: "istbpfd is not ready: \(log)")
      }
      usleep(5000)
    }
  }

  /// Ends it as an administrator does, and returns its exit status.
  public func terminate() -> Int32 {
    conversation.signal(SIGTERM)
    return conversation.awaitEnd()
  }

  /// Kills it with SIGKILL and waits for its end.
  public func stop() { conversation.stop() }
}
