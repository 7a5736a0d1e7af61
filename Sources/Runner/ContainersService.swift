import ControlAPI
import GRPCCore
import Model

/// The API for containers over a runner.
struct ContainersService: Istbpf_Containers_V1_Containers.SimpleServiceProtocol {
  let runner: Runner

  func prepare(
    request: Istbpf_Containers_V1_PrepareRequest, context: ServerContext
  ) async throws -> Istbpf_Containers_V1_PrepareResponse {
    try await answering {
      let prepared = try await runner.prepareContainer(
        of: try ServiceName(request.service), in: try DeploymentName(request.deployment),
        hosts: request.hosts)
      return .with {
        $0.variables = prepared.environment.messages
        $0.hostsPath = prepared.hostsPath
      }
    }
  }

  func attach(
    request: Istbpf_Containers_V1_AttachRequest, context: ServerContext
  ) async throws -> Istbpf_Containers_V1_AttachResponse {
    try await answering {
      let running = try await runner.attachContainer(
        request.container, of: request.engine, process: request.processID,
        hostsPath: request.hostsPath, service: try ServiceName(request.service),
        in: try DeploymentName(request.deployment))
      return .with {
        $0.instance = running.instance.id
        $0.cgroupPath = running.cgroup.path
      }
    }
  }

  func detach(
    request: Istbpf_Containers_V1_DetachRequest, context: ServerContext
  ) async throws -> Istbpf_Containers_V1_DetachResponse {
    try await answering {
      try await runner.detachContainer(hostsPath: request.hostsPath)
      return .init()
    }
  }
}
