import Model
import Registry
import ServiceLifecycle

/// Runners whose lease in the registry ended: that says that their istbpfd is not well, and nothing of their instances.
/// These are known on for as long as their istbpf-relay answers.
struct StaleRunnersService: ServiceLifecycle.Service {
  let runner: Runner

  /// How often they are asked.
  private static let interval = Duration.seconds(2)
  /// How often in a row one may not answer until it is given up.
  private static let attempts = 2

  func run() async throws {
    await cancelWhenGracefulShutdown {
      var silences: [String: Int] = [:]
      while (try? await Task.sleep(for: Self.interval)) != nil {
        let answers = await runner.probeStaleRunners()
        silences = silences.filter { answers[$0.key] != nil }
        for (name, isReached) in answers {
          silences[name] = isReached ? 0 : silences[name, default: 0] + 1
          if silences[name, default: 0] >= Self.attempts { await runner.giveUp(name) }
        }
      }
    }
  }
}

extension Runner {
  /// Those of the runners whose lease ended that could be asked, and whether they answer.
  fileprivate func probeStaleRunners() async -> [String: Bool] {
    var answers: [String: Bool] = [:]
    for name in (view?.condition.staleRunners ?? []).sorted() {
      let deployments = Set((view?.instances ?? []).filter { $0.runner == name }.map(\.deployment))
      // One of which there is an instance here, since another is refused only after a while.
      let shared = deployments.filter { directory?.serves(configuration.runnerName, $0) == true }
      guard let deployment = shared.min() ?? deployments.min() else { continue }
      answers[name] = await relay.reaches(name, about: deployment)
    }
    return answers
  }

  fileprivate func giveUp(_ name: String) async {
    logger.warning(
      "runner \(name): its lease ended and its istbpf-relay does not answer: its instances are gone"
    )
    await registry.giveUp(name)
  }
}
