import Foundation
import Model
import Registry

extension EtcdRegistry {
  /// Takes a number for a new instance of this runner in one transaction; see `Registry`.
  ///
  /// - Throws: also `RegistryError.otherRunner` and `.runnerIsDrained`.
  public func allocateInstance(
    of service: ServiceName, in deployment: DeploymentName, runner: String
  ) async throws -> Instance {
    guard runner.isSame(as: configuration.runner) else {
      throw RegistryError.otherRunner(named: runner, here: configuration.runner)
    }
    let holder = InstanceNumbers.Holder(runner: runner, token: UUID().uuidString)
    let instance = try await exclusively { registry in
      if registry.state.isDrained == true { throw RegistryError.runnerIsDrained(runner) }
      let instance = try await registry.retrying("service \(deployment)/\(service)") { registry in
        try await registry.allocate(service, in: deployment, holder)
      }
      do {
        try registry.save { $0.instances.append(.init(instance: instance, token: holder.token)) }
      } catch {
        // What is not remembered must not run: the next daemon would take its number from it.
        // What stays in etcd although this fails, the next lease puts right (`reassert`).
        try? await registry.retrying("instance \(instance.id)") { registry in
          try await registry.removeFromEtcd(instance)
        }
        throw error
      }
      return instance
    }
    publish()
    await catchUp()
    return instance
  }

  private func allocate(
    _ name: ServiceName, in deployment: DeploymentName, _ holder: InstanceNumbers.Holder
  ) async throws -> Instance {
    let lease = try await establishedLease()
    let serviceKey = keys.key(.service(deployment, name))
    guard let value = try await client.get(serviceKey).value else {
      throw try await undeclared(name, in: deployment)
    }
    let record: ServiceRecord = try decode(value)
    let numbersKey = keys.key(.instanceNumbers(deployment, record.number))
    let (found, revision) = try await read(InstanceNumbers.self, numbersKey)
    var numbers = found ?? InstanceNumbers()
    func instance(_ number: InstanceNumber) -> Instance {
      Instance(
        deployment: deployment, service: name, serviceNumber: record.number, number: number,
        runner: holder.runner)
    }
    // The answer to the last attempt was lost, not the attempt.
    if let done = numbers.taken.first(where: { $0.value == holder }) { return instance(done.key) }
    guard let number = numbers.takeNext(holder) else {
      throw RegistryError.tooManyInstances(deployment: deployment, service: name)
    }
    var transaction = Transaction()
    transaction.expect(serviceKey, createdAt: value.createRevision)
    transaction.expect(numbersKey, changedAt: revision)
    transaction.put(numbersKey, try RecordCoding.encode(numbers))
    transaction.put(
      keys.key(instance(number)),
      try RecordCoding.encode(EndpointRecord(serviceNumber: record.number)), lease: lease)
    try await commit(transaction)
    return instance(number)
  }

  private func undeclared(
    _ service: ServiceName, in deployment: DeploymentName
  ) async throws -> RegistryError {
    let known = try await client.list(keys.services(of: deployment)).values.compactMap { value in
      if case .service(_, let name) = keys.subject(of: value.key) {
        return (name, try decode(value) as ServiceRecord)
      }
      return nil
    }
    if known.isEmpty {
      return .undeclaredDeployment(
        deployment, known: view.deployments.map(\.name).filter { $0 != deployment })
    }
    return .undeclaredService(
      service, deployment: deployment,
      known: known.sorted { $0.1.number < $1.1.number }.map(\.0))
  }

  /// Gives the number of one of this runner's instances back; see `Registry`.
  ///
  /// With etcd away it is remembered that the instance ended, and the number is given back when etcd
  /// is there again. An instance of another runner's is not there to be released.
  @discardableResult
  public func releaseInstance(_ instance: Instance) async throws -> Bool {
    try await exclusively { registry in
      let index = registry.state.instances.firstIndex { $0.instance == instance && !$0.isEnded }
      guard let index else { return false }
      try registry.save { $0.instances[index].isEnded = true }
      registry.publish()
      do {
        try await registry.retrying("instance \(instance.id)") { registry in
          try await registry.removeFromEtcd(instance)
        }
      } catch let error as RegistryError {
        registry.needsReassertion = true
        registry.logger.warning("\(instance.id) ended; its number stays taken for now: \(error)")
        return true
      }
      try registry.save { $0.instances.removeAll { $0.instance == instance && $0.isEnded } }
      return true
    }
  }

  private func removeFromEtcd(_ instance: Instance) async throws {
    let numbersKey = keys.key(.instanceNumbers(instance.deployment, instance.serviceNumber))
    let (found, revision) = try await read(InstanceNumbers.self, numbersKey)
    var transaction = Transaction()
    transaction.delete(keys.key(instance))
    if var numbers = found, numbers.release(instance.number, of: instance.runner) {
      transaction.expect(numbersKey, changedAt: revision)
      transaction.put(numbersKey, try RecordCoding.encode(numbers))
    }
    try await commit(transaction)
  }
}
