import Foundation
import Model
import ServiceLog
import Registry

extension Runner {
  /// Declares services: in the registry first, which decides, then in the kernel and in the hosts
  /// files of what runs.
  func deploy(
    _ declarations: [ServiceDeclaration], in name: DeploymentName, replace: Bool
  ) async throws -> DeclarationOutcome {
    for declaration in declarations { try EgressRule.check(declaration.egress, against: plan) }
    try await refuseTakenNames(declarations, in: name)
    let before = try await registry.deployments().first { $0.name == name }
    let outcome = try await declare(declarations, in: name, replace: replace)
    do {
      if let deployment = outcome.deployment {
        try apply(outcome.services, of: deployment)
      } else if let before {
        try withdraw(before)
      }
    } catch {
      throw RunnerError.notInEffect(name, "\(error)")
    }
    logger.info(
      """
      deployed \(name): \(outcome.added.count) added, \(outcome.changed.count) changed, \
      \(outcome.removed.count) removed
      """, metadata: name.logFields)
    return outcome
  }

  /// Declares services, and dismisses the instances here whose services are removed by that.
  ///
  /// Throws `RegistryError.serviceHasInstances` for instances of other runners: only these can end
  /// them.
  private func declare(
    _ declarations: [ServiceDeclaration], in name: DeploymentName, replace: Bool
  ) async throws -> DeclarationOutcome {
    while true {
      do {
        return try await registry.declare(declarations, in: name, replace: replace)
      } catch let error as RegistryError {
        // It has looked at everything else before.
        guard case .serviceHasInstances(let found) = error,
          found.allSatisfy({ instances[$0.id]?.instance == $0 })
        else { throw error }
        for instance in found {
          if let running = instances[instance.id] { await dismiss(running) }
        }
      }
    }
  }

  /// Says at once, and whenever something was declared, that what is declared may have changed; what ends
  /// the stream is the caller's.
  func declarations() -> (stream: AsyncStream<Void>, continuation: AsyncStream<Void>.Continuation) {
    let id = UUID()
    let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    continuation.onTermination = { [weak self] _ in Task { await self?.endWatching(id) } }
    watchers[id] = continuation
    continuation.yield()
    return (stream, continuation)
  }

  private func endWatching(_ id: UUID) { watchers[id] = nil }

  /// The variables that an instance of a service gets.
  func environment(
    of name: ServiceName, in deployment: DeploymentName
  ) async throws -> InstanceEnvironment {
    let services = try await registry.services(of: deployment)
    let service = try await registry.service(name, of: deployment)
    return InstanceEnvironment(
      of: service, among: services, plan: plan, runner: configuration.runnerName)
  }
}
