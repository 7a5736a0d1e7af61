import Foundation
import Model
import Registry

extension Mirror {
  /// Decides what goes on being shown after `content` changed from `old`.
  ///
  /// An instance that ended in order gave its number back in the same transaction. One that vanished
  /// and still has its number was lost: its runner's lease ended, or somebody deleted keys. If that
  /// happens to more than half of all at once, it is rather the keys than the instances.
  mutating func updateLoss(from old: Content) {
    var vanished = old.endpoints.filter {
      content.endpoints[$0.key] == nil && !isReleased($0.value)
    }
    if keepsStale {
      let lost = vanished.filter { key, endpoint in
        own[key] == nil && content.runners[keys.key(.runner(endpoint.instance.runner))] == nil
      }
      stale.formUnion(lost.keys)
      for key in lost.keys { vanished[key] = nil }
    }
    let total = Set(old.endpoints.keys).union(held).union(own.keys).count
    if !held.isEmpty || vanished.count * 2 > total {
      held.formUnion(vanished.keys.filter { own[$0] == nil })
    }
    held = held.filter(isMissed)
    stale = stale.filter(isMissed)
    show()
  }

  /// Whether an endpoint that is shown has vanished, and was not given back in order.
  private func isMissed(_ key: Data) -> Bool {
    guard content.endpoints[key] == nil, let endpoint = shown.endpoints[key] else { return false }
    return !isReleased(endpoint)
  }

  /// The runners whose instances are shown although their lease ended.
  var staleRunners: Set<String> {
    Set(stale.compactMap { shown.endpoints[$0]?.instance.runner })
  }

  /// Whether etcd has a runner's key.
  func hasRunner(_ name: String) -> Bool { content.runners[keys.key(.runner(name))] != nil }

  /// What is stale of a runner is gone, or its successor has said what there is.
  mutating func giveUp(_ name: String) {
    stale = stale.filter { shown.endpoints[$0]?.instance.runner != name }
    show()
  }

  /// The held instances are gone indeed.
  mutating func acceptLoss() {
    held = []
    show()
  }

  /// What is held, and out of how many.
  var heldLoss: HeldLoss? {
    held.isEmpty ? nil : HeldLoss(missing: held.count, total: shown.endpoints.count)
  }

  /// Puts together what is shown.
  mutating func show() {
    let before = shown
    shown = content
    for key in held.union(stale) { shown.endpoints[key] = before.endpoints[key] }
    // An instance of this runner's that ended while etcd is away.
    shown.endpoints = shown.endpoints.filter {
      own[$0.key] != nil || !$0.value.instance.runner.isSame(as: runner)
    }
    for (key, instance) in own where shown.endpoints[key] == nil {
      shown.endpoints[key] = Endpoint(instance: instance, createRevision: 0)
    }
    // No service vanishes under an instance, which etcd's transactions see to while all is well.
    let running = Set(shown.endpoints.values.map { Self.place($0.instance) })
    for (key, service) in before.services where shown.services[key] == nil {
      if !held.isEmpty || running.contains([service.deployment.rawValue, "\(service.number)"]) {
        shown.services[key] = service
      }
    }
    let peers = Set(held.union(stale).compactMap { shown.endpoints[$0]?.instance.runner })
    for (key, runner) in before.runners
    where shown.runners[key] == nil && (peers.contains(runner.name) || key == ownRunnerKey) {
      shown.runners[key] = runner
    }
  }

  private var ownRunnerKey: Data { keys.key(.runner(runner)) }

  private static func place(_ instance: Instance) -> [String] {
    [instance.deployment.rawValue, "\(instance.serviceNumber)"]
  }

  private func isReleased(_ endpoint: Endpoint) -> Bool {
    let instance = endpoint.instance
    let key = keys.key(.instanceNumbers(instance.deployment, instance.serviceNumber))
    return content.numbers[key].map { !$0.isTaken(instance.number, by: instance.runner) } ?? false
  }

  /// The instances shown, one an address.
  ///
  /// Two runners that claim one address is nothing that transactions let happen; the one that the
  /// numbers name has it then, or else the one that came first.
  var instances: [Instance] {
    var byAddress: [[String]: Endpoint] = [:]
    for endpoint in shown.endpoints.values {
      let address = Self.place(endpoint.instance) + ["\(endpoint.instance.number)"]
      guard let other = byAddress[address] else {
        byAddress[address] = endpoint
        continue
      }
      if rank(endpoint) < rank(other) { byAddress[address] = endpoint }
    }
    return byAddress.values.map(\.instance)
  }

  private func rank(_ endpoint: Endpoint) -> (Int, Int64, String) {
    let instance = endpoint.instance
    let key = keys.key(.instanceNumbers(instance.deployment, instance.serviceNumber))
    let isNamed = content.numbers[key]?.isTaken(instance.number, by: instance.runner) == true
    return (isNamed ? 0 : 1, endpoint.createRevision, instance.runner)
  }
}
