import ControlAPI
import LinuxSystem
import Model
import Relay
import RelayControl
import Synchronization
import SystemPackage
import Tunnel

/// Why another runner did not answer.
struct UnansweredQuestion: Error, CustomStringConvertible {
  let description: String
}

/// Asks the istbpfd of other runners about a deployment, over the tunnels to them.
final class PeerQuestions: Sendable {
  private let relay: RelayLink
  private let directory: InstanceDirectory
  private let silent = Mutex<[String: Silence]>([:])

  /// A runner that refused to be asked at all.
  private struct Silence {
    let since: ContinuousClock.Instant
    let error: UnansweredQuestion
  }

  /// How long an answer that is one message may take.
  private static let answerPatience = Duration.seconds(5)
  /// How long a runner that refuses to be asked is not asked again: one of an older version writes a line to its log
  /// each time.
  private static let pause = Duration.seconds(60)

  /// Asks over `relay`.
  init(relay: RelayLink, directory: InstanceDirectory) {
    (self.relay, self.directory) = (relay, directory)
  }

  /// Asks `name` what has one answer. Throws `UnansweredQuestion`.
  func ask(
    _ question: Istbpf_Peers_V1_Question, of name: String, about deployment: DeploymentName
  ) async throws -> Istbpf_Peers_V1_Answer {
    try await withThrowingTaskGroup { group in
      group.addTask {
        let answers = Mutex<Istbpf_Peers_V1_Answer?>(nil)
        try await self.ask(question, of: name, about: deployment) { answer in
          answers.withLock { $0 = answer }
        }
        guard let answer = answers.withLock(\.self) else {
          throw UnansweredQuestion(description: "it ended the stream without a word")
        }
        return answer
      }
      group.addTask {
        try await Task.sleep(for: Self.answerPatience)
        throw UnansweredQuestion(
          description: "it did not answer within \(Self.answerPatience.components.seconds) s")
      }
      defer { group.cancelAll() }
      guard let answer = try await group.next() else { throw CancellationError() }
      return answer
    }
  }

  private typealias Channel = PeerChannel<Istbpf_Peers_V1_Answer, Istbpf_Peers_V1_Question>

  /// Asks `name` and hands each answer to `take`, until there are no more or the task is cancelled. Throws
  /// `UnansweredQuestion`.
  func ask(
    _ question: Istbpf_Peers_V1_Question, of name: String, about deployment: DeploymentName,
    _ take: @Sendable (Istbpf_Peers_V1_Answer) async throws -> Void
  ) async throws {
    let (near, far) = try TCPSocketPair().handoffs()
    try await open(to: name, about: deployment, on: far)
    guard let near = near.take() else { throw CancellationError() }
    do {
      try await Channel.with(near) { channel, answers in
        try await channel.send(question)
        for try await answer in answers {
          if case .problem(let problem) = answer.answer {
            throw UnansweredQuestion(description: problem)
          }
          try await take(answer)
        }
      }
    } catch let error as UnansweredQuestion {
      throw error
    } catch let error as CancellationError {
      throw error
    } catch {
      throw UnansweredQuestion(description: "the way to it broke: \(error)")
    }
  }

  private func open(
    to name: String, about deployment: DeploymentName, on socket: DescriptorHandoff
  ) async throws {
    guard let found = directory.others(serving: deployment)[name], found != nil else {
      throw UnansweredQuestion(description: "it is not there")
    }
    if let silence = silent.withLock({ $0[name] }), silence.since + Self.pause > .now {
      throw silence.error
    }
    if let refusal = await relay.ask(name, about: deployment, on: socket) {
      throw unanswered(name, refusal)
    }
    silent.withLock { $0[name] = nil }
  }

  private func unanswered(_ name: String, _ refusal: StreamRefusal) -> UnansweredQuestion {
    switch Errno(rawValue: refusal.errno) {
    case .resourceBusy: return UnansweredQuestion(description: "it is asked too often")
    case .resourceTemporarilyUnavailable where refusal.isReached:
      return UnansweredQuestion(description: "its istbpfd does not answer; its istbpf-relay does")
    case .permissionDenied:
      return UnansweredQuestion(description: "it does not know of an instance here")
    case .noRouteToHost where refusal.isReached:
      let error = UnansweredQuestion(
        description: "it does not answer such questions: is its istbpf older?")
      silent.withLock { $0[name] = Silence(since: .now, error: error) }
      return error
    default: return UnansweredQuestion(description: "it cannot be reached: \(refusal.cause)")
    }
  }
}
