import Model
import ServiceLog
import Registry

/// A runner that shares its deployments with others.
extension Runner {
  /// Follows what changes on any runner, until the task is cancelled: services and the instances of
  /// others become known to connect(), or cease to be.
  ///
  /// What of a view cannot be taken over is tried again, with the next one or after a while; what is not
  /// in it any more goes last, so that nothing is emptied first.
  public func follow(_ views: AsyncStream<ClusterView>) async {
    for await new in views { takeOverWhatCan(of: new) }
  }

  /// Takes over what the registry knows now, for who must not wait for `follow`.
  func takeViewOver() async {
    for await known in await registry.views() { return takeOverWhatCan(of: known) }
  }

  private func takeOverWhatCan(of new: ClusterView) {
    do {
      try takeOver(new)
    } catch {
      logger.error("cannot take over a change of the cluster: \(error)")
    }
  }

  /// Takes what is known at the beginning, before anything is published: without it the kernel would be
  /// told for a moment that other runners have no instances.
  func takeFirstView() async {
    guard configuration.cluster != nil else { return }
    for await known in await registry.views() {
      view = known
      directory?.update(known, plan: plan)
      outside.objections.update(known.runners)
      // Nothing is told yet: the relay is told it with all that there is.
      try? tellRelay(known.runners)
      return report(known.condition, before: nil)
    }
  }

  private func takeOver(_ new: ClusterView) throws {
    let old = view
    view = new
    directory?.update(new, plan: plan)
    var steps = Steps()
    if new.runners != old?.runners {
      outside.objections.update(new.runners)
      steps.attempt { try tellRelay(new.runners) }
      // What a name has may be another runner's now, or no more.
      publishNames(egress.names)
    }
    report(new.condition, before: old?.condition)
    let changes = new.changes(since: old)
    guard !changes.isEmpty || !unapplied.isEmpty else {
      if let first = steps.errors.first { throw first }
      return
    }

    let services = Dictionary(grouping: new.services, by: \.deployment)
    var moved = Set((changes.instances.added + changes.instances.removed).map(ServicePlace.init))
    // Where connections to these go may be another's now.
    let drained = new.drainedRunners.symmetricDifference(old?.drainedRunners ?? [])
    moved.formUnion(new.instances.filter { drained.contains($0.runner) }.map(ServicePlace.init))
    let changed = Set(moved.map(\.deployment))
    // Those of which something failed as a whole, so that what failed is not lost.
    let redeclared = Set((changes.services.added + changes.services.removed).map(\.deployment))
      .union(changes.deployments.added.map(\.name)).union(unapplied.map(\.name))
    for deployment in new.deployments {
      let services = services[deployment.name] ?? []
      if redeclared.contains(deployment.name) {
        steps.attempt { try apply(services, of: deployment) }
      } else if changed.contains(deployment.name) {
        do { try tellRelay(deployment) } catch {
          markUnapplied(deployment)
          steps.attempt { throw error }
        }
        for service in services where moved.contains(ServicePlace(service)) {
          steps.attempt { try publish(service, of: deployment) }
        }
      }
    }
    let names = Set(new.deployments.map(\.name))
    for deployment in changes.deployments.removed where !names.contains(deployment.name) {
      steps.attempt { try withdraw(deployment) }
    }
    if let first = steps.errors.first { throw first }
  }

  private func report(_ condition: ClusterCondition, before: ClusterCondition?) {
    guard condition != before else { return }
    if let problem = condition.problem { logger.error("registry: \(problem)") }
    if let loss = condition.heldLoss { logger.critical("registry: \(loss)") }
    for name in condition.staleRunners.subtracting(before?.staleRunners ?? []).sorted() {
      logger.warning(
        "runner \(name): its lease ended; its instances are known on while its istbpf-relay answers"
      )
    }
    if condition.isCurrent, before?.isCurrent == false { logger.notice("registry: current again") }
    for instance in condition.displaced {
      logger.critical(
        "the number of \(instance.id) was given to another runner: end it",
        metadata: instance.logFields)
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
}
