import ControlAPI
import Model
import Registry

/// Another runner, and a deployment that it and this one have instances of.
struct PeerPlace: Hashable, Sendable {
  let runner: String
  let deployment: DeploymentName
}

/// What is known together with the runners that serve the same deployments.
extension Runner {
  /// How many questions are asked at once.
  private static let concurrent = 16

  /// Has other runners asked by `questions` from now on.
  func ask(with questions: PeerQuestions) { self.questions = questions }

  /// Where to ask about `deployment`, or about all of them.
  func others(serving deployment: DeploymentName?) async throws -> [PeerPlace] {
    guard let directory else { return [] }
    var names = [deployment].compactMap(\.self)
    if names.isEmpty { names = try await registry.deployments().map(\.name) }
    return names.flatMap { name in
      directory.others(serving: name).keys.sorted()
        .map { PeerPlace(runner: $0, deployment: name) }
    }
  }

  private typealias Answers = [(place: PeerPlace, answer: Istbpf_Peers_V1_Answer.OneOf_Answer)]

  /// Asks all of `places`, and what came of it, in their order; those that did not answer, each once.
  private func ask(
    _ question: Istbpf_Peers_V1_Question, of places: [PeerPlace]
  ) async -> (answers: Answers, silent: [Istbpf_Control_V1_SilentRunner]) {
    guard let questions else { return ([], []) }
    var outcomes: [PeerPlace: Result<Istbpf_Peers_V1_Answer, any Error>] = [:]
    await withTaskGroup(
      of: (PeerPlace, Result<Istbpf_Peers_V1_Answer, any Error>).self
    ) { group in
      for (index, place) in places.enumerated() {
        if index >= Self.concurrent, let (place, outcome) = await group.next() {
          outcomes[place] = outcome
        }
        group.addTask {
          do {
            let answer = try await questions.ask(
              question, of: place.runner, about: place.deployment)
            return (place, .success(answer))
          } catch { return (place, .failure(error)) }
        }
      }
      for await (place, outcome) in group { outcomes[place] = outcome }
    }
    var answers: Answers = []
    var silent: [String: String] = [:]
    for place in places {
      switch outcomes[place] {
      case .success(let answer): if let found = answer.answer { answers.append((place, found)) }
      case .failure(let error): silent[place.runner] = "\(error)"
      case nil: break
      }
    }
    return (
      answers,
      silent.sorted { $0.key < $1.key }.map { name, problem in
        .with { ($0.runner, $0.problem) = (name, problem) }
      }
    )
  }

  /// What is declared and what runs, on other runners too: of `deployment`, or of all.
  func statusOfAllRunners(
    asking deployment: DeploymentName?
  ) async throws -> Istbpf_Control_V1_GetStatusResponse {
    var response = try await status()
    let (answers, silent) = await ask(
      .with { $0.status = .init() }, of: try await others(serving: deployment))
    response.silent = silent
    for (place, answer) in answers {
      guard case .status(let status) = answer,
        let index = response.deployments.firstIndex(where: { $0.name == place.deployment.rawValue })
      else { continue }
      response.deployments[index].add(status)
    }
    return response
  }

  /// The connections of a deployment's instances, on other runners too.
  func trafficOfAllRunners(
    of deployment: DeploymentName
  ) async throws -> Istbpf_Control_V1_GetTrafficResponse {
    var response = try await traffic(of: deployment)
    let (answers, silent) = await ask(
      .with { $0.traffic = .init() }, of: try await others(serving: deployment))
    for (_, answer) in answers {
      guard case .traffic(let traffic) = answer else { continue }
      response.connections += traffic.connections
      response.listening += traffic.listening
      response.omitted += traffic.omitted
    }
    response.silent = silent
    response.mergeConnections()
    return response
  }
}

extension Istbpf_Control_V1_DeploymentStatus {
  /// Adds what another runner says of the same deployment: its instances, and what it denied.
  mutating func add(_ other: Istbpf_Control_V1_DeploymentStatus) {
    instances += other.instances
    for service in other.services {
      guard let index = services.firstIndex(where: { $0.name == service.name }) else { continue }
      var counts = Dictionary(
        services[index].denials.map { ($0.reason, $0.count) }, uniquingKeysWith: +)
      for denial in service.denials { counts[denial.reason, default: 0] += denial.count }
      services[index].denials = counts.sorted { $0.key < $1.key }.map { reason, count in
        .with { ($0.reason, $0.count) = (reason, count) }
      }
    }
  }
}

extension Istbpf_Control_V1_GetTrafficResponse {
  /// Leaves the callee's side of a connection out where the caller's runner has told it.
  mutating func mergeConnections() {
    let runners = Dictionary(
      listening.map { ($0.instance, $0.runner) }, uniquingKeysWith: { first, _ in first })
    connections.removeAll {
      $0.incoming && runners[$0.peer.name].map { [own = $0.runner] in $0 != own } ?? false
    }
  }
}
