import Foundation
import Model
import Registry

extension EtcdRegistry {
  /// Declares services in one transaction; see `Registry`.
  public func declare(
    _ services: [ServiceDeclaration], in deployment: DeploymentName, replace: Bool
  ) async throws -> DeclarationOutcome {
    let change = UUID().uuidString
    let outcome = try await exclusively { registry in
      var attempted: DeclarationOutcome?
      return try await registry.retrying("deployment \(deployment)") { registry in
        let current = try await registry.current(deployment)
        // The answer to the last attempt was lost, not the attempt.
        if let attempted, current.numbers.change == change { return attempted }
        if let attempted, attempted.deployment == nil, current.services.isEmpty {
          return attempted
        }
        let plan = try DeclarationPlan(
          services, in: deployment, replace: replace, before: current.services,
          numbers: current.numbers, running: current.running)
        let known = registry.view.deployments.map(\.name).filter { $0 != deployment }
        if current.services.isEmpty && services.isEmpty {
          throw RegistryError.undeclaredDeployment(deployment, known: known)
        }
        let outcome = try registry.outcome(of: plan, deployment)
        attempted = outcome
        try await registry.commit(
          try registry.transaction(plan, of: deployment, from: current, change: change))
        return outcome
      }
    }
    await catchUp()
    return outcome
  }

  /// What etcd has of a deployment.
  private struct Current {
    var services: [Service] = []
    var numbers = ServiceNumbers()
    var numbersRevision: Int64 = 0
    var running: [Instance] = []
    /// The revision at which the numbers of instances were read.
    var revision: Int64 = 0
  }

  private func current(_ deployment: DeploymentName) async throws -> Current {
    var current = Current()
    // Numbers first: services change only together with their deployment's numbers, so the comparison
    // with these covers both.
    let allocations = try await client.list(keys.allocations(of: deployment))
    let services = try await client.list(keys.services(of: deployment))
    current.revision = allocations.revision
    for value in services.values {
      guard case .service(_, let name) = keys.subject(of: value.key) else { continue }
      let record: ServiceRecord = try decode(value)
      current.services.append(record.service(name, of: deployment))
    }
    current.services.sort { $0.number < $1.number }
    for value in allocations.values {
      switch keys.subject(of: value.key) {
      case .serviceNumbers:
        current.numbers = try decode(value)
        current.numbersRevision = value.modRevision
      case .instanceNumbers(_, let number):
        guard let service = current.services.first(where: { $0.number == number }) else { continue }
        let numbers: InstanceNumbers = try decode(value)
        current.running += numbers.taken.sorted { $0.key < $1.key }.map {
          Instance(
            deployment: deployment, service: service.name, serviceNumber: number, number: $0.key,
            runner: $0.value.runner)
        }
      default: continue
      }
    }
    return current
  }

  private func outcome(
    of plan: DeclarationPlan, _ name: DeploymentName
  ) throws -> DeclarationOutcome {
    var deployment: Deployment?
    if !plan.services.isEmpty {
      // The id before the declaration: a deployment without one could not run here.
      var ids = state.ids
      let id = try ids.id(of: name)
      try save { $0.ids = ids }
      deployment = Deployment(name: name, id: id)
    }
    return DeclarationOutcome(
      deployment: deployment, services: plan.services, added: plan.added, changed: plan.changed,
      removed: plan.removed)
  }

  private func transaction(
    _ plan: DeclarationPlan, of deployment: DeploymentName, from current: Current, change: String
  ) throws -> Transaction {
    var transaction = Transaction()
    let numbersKey = keys.key(.serviceNumbers(deployment))
    transaction.expect(numbersKey, changedAt: current.numbersRevision)
    if !plan.removed.isEmpty {
      // Nobody may have started an instance of them meanwhile.
      transaction.expect(keys.allocations(of: deployment), unchangedSince: current.revision)
    }
    if plan.services.isEmpty {
      transaction.delete(keys.services(of: deployment))
      transaction.delete(keys.allocations(of: deployment))
      return transaction
    }
    var numbers = plan.numbers
    numbers.change = change
    transaction.put(numbersKey, try RecordCoding.encode(numbers))
    for service in plan.removed {
      transaction.delete(keys.key(.service(deployment, service.name)))
    }
    let written = Set(plan.added + plan.changed)
    for service in plan.services where written.contains(service.name) {
      transaction.put(
        keys.key(.service(deployment, service.name)),
        try RecordCoding.encode(ServiceRecord(service)))
    }
    return transaction
  }
}
