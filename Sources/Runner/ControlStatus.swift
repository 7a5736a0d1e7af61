import GRPCCore
import Model
import Registry

/// The statuses of control.proto for the errors of the parts.
enum ControlStatus {
  static func code(of error: any Error) -> RPCError.Code {
    switch error {
    case is InvalidName, is InvalidPort, is InvalidEgressRule, is InvalidTarget: .invalidArgument
    case let error as RegistryError: code(of: error)
    case RunnerError.unknownService: .notFound
    case is RunnerError: .failedPrecondition
    default: .internalError
    }
  }

  private static func code(of error: RegistryError) -> RPCError.Code {
    switch error {
    case .undeclaredDeployment, .undeclaredService, .unknownRunner: .notFound
    case .nameCollision, .serviceHasInstances, .runnerNameTaken, .otherRunner, .runnerIsThere,
      .runnerIsDrained, .notShared:
      .failedPrecondition
    case .tooManyServices, .tooManyInstances, .tooManyDeployments, .full: .resourceExhausted
    case .contended: .aborted
    case .unreachable, .busy: .unavailable
    case .denied: .permissionDenied
    case .corrupt, .foreign, .newer, .unavailable, .unreadable: .internalError
    }
  }
}

/// Errors of the parts become statuses of control.proto.
func answering<Response>(_ body: () async throws -> Response) async throws -> Response {
  do {
    return try await body()
  } catch let error as RPCError {
    throw error
  } catch {
    throw RPCError(code: ControlStatus.code(of: error), message: "\(error)", cause: error)
  }
}
