import Dataplane
import Model
import Registry

/// A runner that shares its deployments with others.
extension Runner {
  /// Follows what changes on any runner, until the task is cancelled: services and the instances of
  /// others become known to connect(), or cease to be.
  ///
  /// A view that cannot be taken over whole is tried again with the next one; what is not in it any
  /// more goes last, so that nothing is emptied first.
  public func follow(_ views: AsyncStream<ClusterView>) async {
    for await new in views {
      do {
        try takeOver(new)
      } catch {
        logger.error("cannot take over a change of the cluster: \(error)")
      }
    }
  }

  /// Takes what is known at the beginning, before anything is published: without it the kernel would be
  /// told for a moment that other runners have no instances.
  func takeFirstView() async {
    guard configuration.cluster != nil else { return }
    for await known in await registry.views() {
      view = known
      remote?.directory.update(known)
      return report(known.condition, before: nil)
    }
  }

  private func takeOver(_ new: ClusterView) throws {
    let old = view
    view = new
    remote?.directory.update(new)
    report(new.condition, before: old?.condition)
    let changes = new.changes(since: old)
    guard !changes.isEmpty else { return }

    let deployments = Dictionary(uniqueKeysWithValues: new.deployments.map { ($0.name, $0) })
    for deployment in changes.deployments.added { try dataplane.publish(deployment: deployment) }
    let moved = Set(
      (changes.instances.added + changes.instances.removed).map {
        ServicePlace(deployment: $0.deployment, number: $0.serviceNumber)
      })
    let changedServices = Set(changes.services.added)
    for service in new.services
    where changedServices.contains(service)
      || moved.contains(ServicePlace(deployment: service.deployment, number: service.number))
    {
      if let deployment = deployments[service.deployment] { try publish(service, of: deployment) }
    }
    let kept = Set(new.services.map { ServicePlace(deployment: $0.deployment, number: $0.number) })
    for service in changes.services.removed
    where !kept.contains(ServicePlace(deployment: service.deployment, number: service.number)) {
      let deployment = old?.deployments.first { $0.name == service.deployment }
      if let deployment {
        try dataplane.withdraw(service: service.number, deployment: deployment.id)
      }
    }
    for name in Set((changes.services.added + changes.services.removed).map(\.deployment)) {
      guard let deployment = deployments[name] else { continue }
      try publishEgress(of: new.services.filter { $0.deployment == name }, in: deployment)
    }
    for deployment in changes.deployments.removed where deployments[deployment.name] == nil {
      try withdraw(deployment)
    }
    for name in Set((changes.services.added + changes.services.removed).map(\.deployment)) {
      let services = new.services.filter { $0.deployment == name }
      for instance in running.values where instance.instance.deployment == name {
        try writeHostsFile(of: instance, services: services)
      }
    }
  }

  private func report(_ condition: ClusterCondition, before: ClusterCondition?) {
    guard condition != before else { return }
    if let problem = condition.problem { logger.error("registry: \(problem)") }
    if let loss = condition.heldLoss { logger.critical("registry: \(loss)") }
    if condition.isCurrent, before?.isCurrent == false { logger.notice("registry: current again") }
    for instance in condition.displaced {
      logger.critical("the number of \(instance.id) was given to another runner: end it")
    }
  }

  /// The numbers of the instances of a service on other runners.
  func remoteInstances(of service: Service) -> Set<InstanceNumber> {
    guard let view else { return [] }
    return Set(
      view.instances.filter {
        $0.deployment == service.deployment && $0.serviceNumber == service.number
          && $0.runner != configuration.runnerName
      }.map(\.number))
  }

  private struct ServicePlace: Hashable {
    let deployment: DeploymentName
    let number: ServiceNumber
  }
}
