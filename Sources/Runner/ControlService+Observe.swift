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
    let (subscription, naming) = try await answering {
      (
        runner.feed.subscribe(try await runner.filter(of: request)),
        try EventNaming(
          pinnedIn: runner.configuration.installation.pinDirectory,
          plan: runner.configuration.plan, outside: runner.outside)
      )
    }
    defer { subscription.end() }
    try await withRPCCancellationHandler {
      var naming = naming
      // That the observer sees everything from here on.
      try await response.write(.init())
      for await told in subscription.told {
        let lost = subscription.takeLost()
        if lost > 0 { try await response.write(.with { $0.lost = lost }) }
        try await response.write(try naming.message(told))
      }
    } onCancelRPC: {
      // The observer has gone, or the daemon is to stop.
      subscription.end()
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
