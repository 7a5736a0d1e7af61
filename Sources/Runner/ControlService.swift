import ControlAPI
import Dataplane
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
          isPrivate: declaration.private, egress: try declaration.egress.map { try EgressRule($0) })
      }
      let outcome = try await runner.deploy(
        declarations, in: try DeploymentName(request.deployment), replace: request.replace)
      let plan = runner.configuration.plan
      return .with {
        $0.services = outcome.services.map { Istbpf_Control_V1_ServiceStatus($0, plan: plan) }
        $0.removed = outcome.removed.map(\.name.rawValue)
      }
    }
  }

  func startInstance(
    request: Istbpf_Control_V1_StartInstanceRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_StartInstanceResponse {
    try await answering {
      let started = try await runner.startInstance(
        of: try ServiceName(request.service), in: try DeploymentName(request.deployment),
        thread: request.threadID)
      return .with {
        $0.instance = started.running.instance.id
        $0.address = started.running.identity.address.description
        $0.cgroupPath = started.running.cgroup.path
        $0.hostsPath = started.running.hostsPath
        $0.variables = started.environment.messages
      }
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

  func getStatus(
    request: Istbpf_Control_V1_GetStatusRequest, context: ServerContext
  ) async throws -> Istbpf_Control_V1_GetStatusResponse {
    try await answering { try await runner.status() }
  }

  /// The statuses of control.proto for the errors of the parts.
  private func answering<Response>(
    _ body: () async throws -> Response
  ) async throws -> Response {
    do {
      return try await body()
    } catch let error as RPCError {
      throw error
    } catch {
      throw RPCError(code: Self.code(of: error), message: "\(error)", cause: error)
    }
  }

  private static func code(of error: any Error) -> RPCError.Code {
    switch error {
    case is InvalidName, is InvalidPort, is InvalidEgressRule: .invalidArgument
    case let error as RegistryError:
      switch error {
      case .undeclaredDeployment, .undeclaredService: .notFound
      case .nameCollision, .serviceHasInstances: .failedPrecondition
      case .tooManyServices, .tooManyInstances, .tooManyDeployments, .full: .resourceExhausted
      default: .internalError
      }
    case is RunnerError: .failedPrecondition
    default: .internalError
    }
  }
}

extension InstanceEnvironment {
  fileprivate var messages: [Istbpf_Control_V1_Variable] {
    variables.map { variable in
      .with {
        $0.name = variable.name
        $0.value = variable.value
      }
    }
  }
}
