import LinuxSystem
import RelayControl
import Synchronization

/// One connection with an istbpf-relay: its commands, and who waits for their answers.
final class RelayConversation: Sendable {
  typealias Completion = @Sendable (Istbpf_Relay_V1_Report?) -> Void

  let channel: DescriptorChannel
  private let state = Mutex(State())

  private struct State {
    var last: UInt64 = 0
    var waiting: [UInt64: Completion] = [:]
    var hasEnded = false
  }

  init(_ channel: DescriptorChannel) { self.channel = channel }

  /// Sends a command. `completion` gets its answer, on the thread that hears, or nil where none comes any more; it
  /// must not wait for another answer. Throws `SystemError`: then it is not called.
  func send(
    _ command: Istbpf_Relay_V1_Command.OneOf_Command, with descriptor: Int32? = nil,
    completion: Completion? = nil
  ) throws {
    let number = state.withLock { state in
      guard let completion, !state.hasEnded else { return UInt64(0) }
      state.last += 1
      state.waiting[state.last] = completion
      return state.last
    }
    if number == 0, let completion { return completion(nil) }
    do {
      try channel.send(
        Istbpf_Relay_V1_Command.with { ($0.number, $0.command) = (number, command) },
        with: descriptor)
    } catch {
      // Whoever hears may have called it meanwhile.
      guard number == 0 || state.withLock({ $0.waiting.removeValue(forKey: number) }) != nil else {
        return
      }
      throw error
    }
  }

  /// Gives an answer to who waits for it.
  func answered(_ report: Istbpf_Relay_V1_Report) {
    state.withLock { $0.waiting.removeValue(forKey: report.number) }?(report)
  }

  /// No answers come any more.
  func end() {
    let left = state.withLock { state in
      state.hasEnded = true
      defer { state.waiting = [:] }
      return state.waiting.values
    }
    for completion in left { completion(nil) }
  }
}
