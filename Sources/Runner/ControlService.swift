import ControlAPI
import Dataplane
import Foundation
import GRPCCore
import LinuxSystem
import Model
import Registry

/// The control API over a runner: checks what comes in, and puts errors into words.
struct ControlService: Istbpf_Control_V1_Control.SimpleServiceProtocol {
  let runner: Runner

  func deploy(
    request: Istbpf_Control_V1_DeployRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_DeployResponse {
    try await answering {
      let declarations = try request.declarations.map { declaration in
        ServiceDeclaration(
          name: try ServiceName(declaration.service), port: try PortNumber(Int(declaration.port)),
          isPrivate: declaration.private, egress: try declaration.egress.map { try EgressRule($0) },
          timeout: try declaration.timeout)
      }
      let outcome = try await runner.deploy(
        declarations, in: try DeploymentName(request.deployment), replace: request.replace)
      let plan = runner.configuration.plan
      let warnings = await runner.awaitNames(of: outcome.services)
      return .with {
        $0.services = outcome.services.map { Istbpf_Control_V1_ServiceStatus($0, plan: plan) }
        $0.removed = outcome.removed.map(\.name.rawValue)
        $0.warnings = warnings
      }
    }
  }

  func startInstance(
    request: Istbpf_Control_V1_StartInstanceRequest,
    response: RPCWriter<Istbpf_Control_V1_StartInstanceResponse>, context: ServerContext
  ) async throws {
    try await answering {
      let service = try ServiceName(request.service)
      let deployment = try DeploymentName(request.deployment)
      try await runner.startInstance(of: service, in: deployment, thread: request.threadID) {
        guarded in
        try await response.write(
          .with {
            $0.instance = guarded.instance.id
            $0.address = guarded.identity.address.description
            $0.cgroupPath = guarded.cgroup.path
            $0.hostsPath = guarded.hostsPath
          })
      }
    }
  }

  func publishInstance(
    request: Istbpf_Control_V1_PublishInstanceRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_PublishInstanceResponse {
    try await answering {
      let environment = try await runner.publishInstance(request.instance)
      return .with { $0.variables = environment.messages }
    }
  }

  func getEnvironment(
    request: Istbpf_Control_V1_GetEnvironmentRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_GetEnvironmentResponse {
    try await answering {
      let environment = try await runner.environment(
        of: try ServiceName(request.service), in: try DeploymentName(request.deployment))
      return .with { $0.variables = environment.messages }
    }
  }

  func watchEnvironment(
    request: Istbpf_Control_V1_GetEnvironmentRequest,
    response: RPCWriter<Istbpf_Control_V1_GetEnvironmentResponse>, context: ServerContext
  ) async throws {
    let (name, deployment) = try await answering {
      (try ServiceName(request.service), try DeploymentName(request.deployment))
    }
    let changes = await runner.declarations()
    try await withRPCCancellationHandler {
      var last: InstanceEnvironment?
      for await _ in changes.stream {
        let environment = try await answering {
          try await runner.environment(of: name, in: deployment)
        }
        guard environment != last else { continue }
        last = environment
        try await response.write(.with { $0.variables = environment.messages })
      }
    } onCancelRPC: {
      // The caller has gone, or the daemon is to stop.
      changes.continuation.finish()
    }
  }

  func getStatus(
    request: Istbpf_Control_V1_GetStatusRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_GetStatusResponse {
    try await answering {
      guard request.allRunners else { return try await runner.status() }
      let deployment = try request.deployment.isEmpty ? nil : DeploymentName(request.deployment)
      return try await runner.statusOfAllRunners(asking: deployment)
    }
  }

  func getTraffic(
    request: Istbpf_Control_V1_GetTrafficRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_GetTrafficResponse {
    try await answering {
      let deployment = try DeploymentName(request.deployment)
      return request.allRunners
        ? try await runner.trafficOfAllRunners(of: deployment)
        : try await runner.traffic(of: deployment)
    }
  }

  func getHistory(
    request: Istbpf_Control_V1_GetHistoryRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_GetHistoryResponse {
    try await answering { try await runner.history(of: try DeploymentName(request.deployment)) }
  }

  func forgetRunner(
    request: Istbpf_Control_V1_ForgetRunnerRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_ForgetRunnerResponse {
    try await answering {
      let numbers = try await runner.forgetRunner(request.name)
      return .with { $0.numbers = UInt32(clamping: numbers) }
    }
  }

  func setRunnerDrained(
    request: Istbpf_Control_V1_SetRunnerDrainedRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_SetRunnerDrainedResponse {
    try await answering {
      try await runner.setDrained(request.drained, named: request.name)
      return .init()
    }
  }

  func resetConnections(
    request: Istbpf_Control_V1_ResetConnectionsRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_ResetConnectionsResponse {
    try await answering {
      let count = try await runner.resetConnections()
      return .with { $0.connections = UInt64(count) }
    }
  }

  func restartRelay(
    request: Istbpf_Control_V1_RestartRelayRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_RestartRelayResponse {
    try await answering {
      let relay = runner.relay
      return try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
          continuation.resume(
            with: Result {
              let (before, now) = try relay.restart()
              return .with { ($0.before, $0.now) = (before, now) }
            })
        }
      }
    }
  }

  func confirmLoss(
    request: Istbpf_Control_V1_ConfirmLossRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_ConfirmLossResponse {
    try await answering {
      let instances = await runner.registry.confirmLoss()
      return .with { $0.instances = UInt32(clamping: instances) }
    }
  }
}

extension Istbpf_Control_V1_Declaration {
  fileprivate var timeout: RequestTimeout? {
    get throws {
      if timeoutSeconds == 0 { return nil }
      if let timeout = RequestTimeout(seconds: Int(timeoutSeconds)) { return timeout }
      throw RPCError(
        code: .invalidArgument, message: "a timeout of \(timeoutSeconds) s is too long")
    }
  }
}

extension InstanceEnvironment {
  var messages: [Istbpf_Control_V1_Variable] {
    variables.map { variable in
      .with {
        $0.name = variable.name
        $0.value = variable.value
      }
    }
  }
}
