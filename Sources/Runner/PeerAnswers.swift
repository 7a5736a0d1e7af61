import ControlAPI
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import RelayControl
import Synchronization

/// Answers what the istbpfd of other runners ask about deployments that they serve too: what people are told here.
final class PeerAnswers: Sendable {
  private let runner: Runner
  private let directory: InstanceDirectory
  private let logger: Logger
  private let limits = Mutex<[String: QuestionLimit]>([:])

  /// How often it is looked whether who observes may still.
  private static let recheck = Duration.seconds(2)

  /// Answers by what `runner` knows.
  init(_ runner: Runner, directory: InstanceDirectory, logger: Logger) {
    (self.runner, self.directory, self.logger) = (runner, directory, logger)
  }

  /// Takes a stream on which the runner `asking` has a question about a deployment that it may ask about: `socket` is
  /// joined to it. The errno by which it is refused, or 0.
  func answer(
    _ asking: String, about deployment: DeploymentName, on socket: DescriptorHandoff
  ) -> Int32 {
    let isAdmitted = limits.withLock { $0[asking, default: QuestionLimit()].take(now: .now) }
    guard isAdmitted else { return EBUSY }
    Task {
      await serve(socket, asking, about: deployment)
      settled(asking)
    }
    return 0
  }

  private func settled(_ asking: String) { limits.withLock { $0[asking]?.settle() } }

  private typealias Channel = PeerChannel<Istbpf_Peers_V1_Question, Istbpf_Peers_V1_Answer>

  private func serve(
    _ handoff: DescriptorHandoff, _ asking: String, about deployment: DeploymentName
  ) async {
    guard let socket = handoff.take() else { return }
    let (asked, mailbox) = AsyncStream.makeStream(of: Istbpf_Peers_V1_Question.self)
    do {
      try await Channel.with(socket) { channel, questions in
        // Cancelled when the other runner has ended the stream.
        async let _ = answer(asked, of: asking, about: deployment, on: channel)
        for try await question in questions {
          mailbox.yield(question)
          mailbox.finish()
        }
        mailbox.finish()
      }
    } catch {
      logger.debug("runner \(asking) was not answered: \(error)")
    }
  }

  private func answer(
    _ asked: AsyncStream<Istbpf_Peers_V1_Question>, of asking: String,
    about deployment: DeploymentName, on channel: Channel
  ) async {
    for await question in asked {
      do {
        try await answer(question, of: asking, about: deployment, on: channel)
      } catch {
        // It may be the stream that broke.
        try? await channel.send(.with { $0.problem = "\(error)" })
      }
    }
    channel.finish()
  }

  private func answer(
    _ question: Istbpf_Peers_V1_Question, of asking: String, about deployment: DeploymentName,
    on channel: Channel
  ) async throws {
    switch question.question {
    case .status:
      let status = try await runner.status(of: deployment)
      try await channel.send(.with { $0.status = status })
    case .traffic:
      let traffic = try await runner.traffic(of: deployment)
      try await channel.send(.with { $0.traffic = traffic })
    case .observe(var request):
      request.deployment = deployment.rawValue
      let observation = try await LocalObservation(request, of: runner)
      defer { observation.end() }
      try await withThrowingTaskGroup { group in
        group.addTask {
          try await observation.follow { message in
            try await channel.send(.with { $0.observed = message })
          }
        }
        group.addTask {
          repeat {
            try await Task.sleep(for: Self.recheck)
          } while self.directory.serves(asking, deployment)
          throw NotServed(runner: asking, deployment: deployment)
        }
        defer { group.cancelAll() }
        try await group.next()
      }
    case nil:
      throw UnknownQuestion()
    }
  }

  private struct UnknownQuestion: Error, CustomStringConvertible {
    let description = "istbpf \(istbpfVersion) does not know this question"
  }

  private struct NotServed: Error, CustomStringConvertible {
    let runner: String
    let deployment: DeploymentName
    var description: String { "\(runner) has no instance of \(deployment) any more" }
  }
}

/// How much one runner may ask.
struct QuestionLimit {
  /// Questions a second in the long run, and at once.
  static let (rate, burst) = (50.0, 200.0)
  /// Questions that are being answered; one who observes is answered all the time.
  static let concurrent = 64

  private var tokens = burst
  private var counted = ContinuousClock.now
  private var live = 0

  /// Whether one more question is answered at `now`; `settle` is due then.
  mutating func take(now: ContinuousClock.Instant) -> Bool {
    tokens = min(Self.burst, tokens + Self.rate * ((now - counted) / .seconds(1)))
    counted = now
    guard tokens >= 1, live < Self.concurrent else { return false }
    tokens -= 1
    live += 1
    return true
  }

  /// A question has been answered.
  mutating func settle() { live -= 1 }
}
