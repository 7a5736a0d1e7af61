import ControlAPI
import Dataplane
import GRPCCore
import Model

extension ControlService {
  func observe(
    request: Istbpf_Control_V1_ObserveRequest,
    response: RPCWriter<Istbpf_Control_V1_ObserveResponse>, context: ServerContext
  ) async throws {
    if request.recent { return try await recent(request, response) }
    let observation: any Observing
    if request.allRunners {
      observation = try await answering { try await ClusterObservation(request, of: runner) }
    } else {
      observation = try await answering { try await LocalObservation(request, of: runner) }
    }
    defer { observation.end() }
    try await withRPCCancellationHandler {
      try await observation.follow { try await response.write($0) }
    } onCancelRPC: {
      // The observer has gone, or the daemon is to stop.
      observation.end()
    }
  }

  private func recent(
    _ request: Istbpf_Control_V1_ObserveRequest,
    _ response: RPCWriter<Istbpf_Control_V1_ObserveResponse>
  ) async throws {
    try await answering {
      let filter = try await runner.filter(of: request)
      var naming = try EventNaming(
        pinnedIn: runner.configuration.installation.pinDirectory,
        plan: runner.configuration.plan, outside: runner.outside)
      try await response.write(.init())
      for told in runner.feed.recent where filter.admits(told) {
        try await response.write(try naming.message(told))
      }
    }
  }

  func explain(
    request: Istbpf_Control_V1_ExplainRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_ExplainResponse {
    try await answering {
      try await runner.explain(
        try ServiceName(request.service), of: try DeploymentName(request.deployment),
        connectingTo: request.target)
    }
  }
}
