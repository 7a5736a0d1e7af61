import Relay
import RelayControl
import Synchronization

/// Questions of other runners on which istbpfd has not decided.
final class OpenQuestions: Sendable {
  private struct Question {
    let socket: DescriptorHandoff
    let reply: @Sendable (StreamDecision) -> Void
  }

  private struct State {
    var open: [UInt64: Question] = [:]
    var last: UInt64 = 0
  }

  private let state = Mutex(State())

  /// The number of a new one, whose stream goes to `socket` where it is answered.
  func add(
    _ socket: DescriptorHandoff, _ reply: @escaping @Sendable (StreamDecision) -> Void
  ) -> UInt64 {
    state.withLock { state in
      state.last += 1
      state.open[state.last] = Question(socket: socket, reply: reply)
      return state.last
    }
  }

  func decide(_ decided: Istbpf_Relay_V1_QuestionDecided) {
    guard let question = state.withLock({ $0.open.removeValue(forKey: decided.question) }) else {
      return
    }
    question.reply(
      decided.errorNumber == 0 ? .join(question.socket) : .refuse(decided.errorNumber))
  }

  func refuseAll(_ errno: Int32) {
    let open = state.withLock { state in
      defer { state.open = [:] }
      return state.open.values
    }
    for question in open { question.reply(.refuse(errno)) }
  }
}
