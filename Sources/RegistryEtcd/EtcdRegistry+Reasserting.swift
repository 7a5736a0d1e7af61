import Foundation
import Model
import Registry

extension EtcdRegistry {
  /// Makes etcd hold exactly this runner's instances as its own, on `lease`.
  ///
  /// What it has and they do not is of an answer that was lost, of a release while etcd was away, or
  /// of an earlier machine with this name.
  func reassert(lease: Int64) async throws {
    var places: Set<Place> = Set(state.instances.map { Place($0.instance) })
    for value in try await client.list(keys.allocations).values {
      guard case .instanceNumbers(let deployment, let number) = keys.subject(of: value.key),
        // One that cannot be read is passed over in the listing too, where it is logged.
        let numbers = try? RecordCoding.decode(InstanceNumbers.self, from: value.value),
        !numbers.numbers(of: configuration.runner).isEmpty
      else { continue }
      places.insert(Place(deployment, number))
    }
    var displaced: [Instance] = []
    for place in places {
      displaced += try await retrying("deployment \(place.deployment)") { registry in
        try await registry.reassert(place, lease: lease)
      }
    }
    try await removeStrays()
    try save { $0.instances.removeAll(where: \.isEnded) }
    for instance in displaced where !condition.displaced.contains(instance) {
      logger.error("the address of \(instance.id) was given to another runner: stop it")
    }
    condition.displaced = displaced
    needsReassertion = false
    publish()
  }

  /// The same for one service. Returns the instances whose number another runner has.
  private func reassert(_ place: Place, lease: Int64) async throws -> [Instance] {
    let runner = configuration.runner
    let own = state.instances.filter { Place($0.instance) == place && !$0.isEnded }
    let key = keys.key(.instanceNumbers(place.deployment, place.serviceNumber))
    let (found, revision) = try await read(InstanceNumbers.self, key)
    var numbers = found ?? InstanceNumbers()
    for number in numbers.numbers(of: runner)
    where !own.contains(where: { $0.instance.number == number }) {
      numbers.release(number, of: runner)
    }
    var transaction = Transaction()
    transaction.expect(key, changedAt: revision)
    var displaced: [Instance] = []
    for own in own {
      let number = own.instance.number
      if numbers.taken[number] == nil {
        numbers.take(number, .init(runner: runner, token: own.token))
      }
      guard numbers.isTaken(number, by: runner) else {
        displaced.append(own.instance)
        continue
      }
      transaction.put(
        keys.key(own.instance),
        try RecordCoding.encode(EndpointRecord(serviceNumber: place.serviceNumber)), lease: lease)
    }
    if numbers != found ?? InstanceNumbers() {
      transaction.put(key, try RecordCoding.encode(numbers))
    }
    try await commit(transaction)
    return displaced
  }

  /// Endpoints below this runner's prefix that none of its instances has.
  private func removeStrays() async throws {
    let own = Set(mirror.own.keys)
    var transaction = Transaction()
    var isEmpty = true
    for value in try await client.list(keys.endpoints(of: configuration.runner)).values
    where !own.contains(value.key) {
      transaction.delete(value.key)
      isEmpty = false
    }
    if !isEmpty { try await commit(transaction) }
  }
}

/// A service by its number.
private struct Place: Hashable {
  let deployment: DeploymentName
  let serviceNumber: ServiceNumber

  init(_ deployment: DeploymentName, _ serviceNumber: ServiceNumber) {
    self.deployment = deployment
    self.serviceNumber = serviceNumber
  }

  init(_ instance: Instance) { self.init(instance.deployment, instance.serviceNumber) }
}
