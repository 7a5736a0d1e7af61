import Foundation
import Model
import Registry

extension EtcdRegistry {
  /// Every deployment, in the order of their names; see `Registry`.
  public func deployments() async throws -> [Deployment] {
    await catchUp()
    return view.deployments
  }

  /// The deployment `name`; see `Registry`.
  public func deployment(named name: DeploymentName) async throws -> Deployment {
    let known = try await deployments()
    guard let found = known.first(where: { $0.name == name }) else {
      throw RegistryError.undeclaredDeployment(name, known: known.map(\.name))
    }
    return found
  }

  /// Every service of `deployment`; see `Registry`.
  public func services(of deployment: DeploymentName) async throws -> [Service] {
    _ = try await self.deployment(named: deployment)
    return view.services.filter { $0.deployment == deployment }
  }

  /// The service `name` of `deployment`; see `Registry`.
  public func service(_ name: ServiceName, of deployment: DeploymentName) async throws -> Service {
    let known = try await services(of: deployment)
    guard let found = known.first(where: { $0.name == name }) else {
      throw RegistryError.undeclaredService(
        name, deployment: deployment, known: known.map(\.name))
    }
    return found
  }

  /// Every instance of `deployment` on every runner; see `Registry`.
  public func instances(of deployment: DeploymentName) async throws -> [Instance] {
    _ = try await self.deployment(named: deployment)
    return view.instances.filter { $0.deployment == deployment }
  }

  /// Every instance of every deployment on every runner; see `Registry`.
  public func instances() async throws -> [Instance] {
    await catchUp()
    return view.instances
  }

  /// See `SharedRegistry`.
  public func views() async -> AsyncStream<ClusterView> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: ClusterView.self, bufferingPolicy: .bufferingNewest(1))
    continuation.yield(view)
    guard !isClosed else {
      continuation.finish()
      return stream
    }
    let id = UUID()
    readers[id] = continuation
    continuation.onTermination = { [weak self] _ in
      Task { await self?.forget(reader: id) }
    }
    return stream
  }

  /// See `SharedRegistry`.
  @discardableResult
  public func confirmLoss() async -> Int {
    guard let loss = mirror.heldLoss else { return 0 }
    logger.warning("confirmed by command: \(loss)")
    mirror.acceptLoss()
    publish()
    return loss.missing
  }

  /// See `SharedRegistry`.
  public func numbersByRunner() async -> [String: Int] {
    mirror.content.numbers.values.flatMap(\.taken.values)
      .reduce(into: [:]) { $0[$1.runner, default: 0] += 1 }
  }

  /// See `SharedRegistry`.
  public func giveUp(_ runner: String) async {
    mirror.giveUp(runner)
    publish()
  }

  /// A runner whose lease had ended is back: what it does not say again within a while is gone.
  func settleReturned() {
    for name in mirror.staleRunners where mirror.hasRunner(name) && returning.insert(name).inserted
    {
      Task { [weak self, delay = configuration.lossConfirmation] in
        try? await Task.sleep(for: delay)
        await self?.settle(name)
      }
    }
  }

  private func settle(_ name: String) async {
    returning.remove(name)
    if mirror.hasRunner(name) { await giveUp(name) }
  }

  private func forget(reader id: UUID) { readers[id] = nil }

  /// The state as it is known now.
  var view: ClusterView { lastView ?? makeView() }

  /// Tells the readers, if there is anything new.
  func publish() {
    var names = Set(mirror.shown.services.values.map(\.deployment))
    names.formUnion(mirror.own.values.map(\.deployment))
    var ids = state.ids
    ids.keep(names)
    if ids != state.ids {
      // Before anybody is told of an id, it is on the disk.
      do { try save { $0.ids = ids } } catch { report(error as? RegistryError) }
    }
    condition.heldLoss = mirror.heldLoss
    condition.staleRunners = mirror.staleRunners.filter { !mirror.hasRunner($0) }
    let view = makeView()
    guard view != lastView else { return }
    lastView = view
    isCacheStale = true
    for reader in readers.values { reader.yield(view) }
  }

  private func makeView() -> ClusterView {
    let services = Array(mirror.shown.services.values)
    let names = Set(services.map(\.deployment))
    return ClusterView(
      deployments: names.compactMap { name in
        state.ids.used[name.rawValue].map { Deployment(name: name, id: $0) }
      },
      services: services, instances: mirror.instances,
      runners: Array(mirror.shown.runners.values), condition: condition)
  }

  /// Waits until what was changed here is seen here: moments, while the watch is up.
  func catchUp() async {
    let deadline = ContinuousClock.now + .seconds(1)
    while mirror.revision < lastWritten, condition.isCurrent, ContinuousClock.now < deadline {
      try? await Task.sleep(for: .milliseconds(2))
      if Task.isCancelled { return }
    }
  }

  /// Takes note of what is wrong; nil if nothing is.
  func report(_ problem: RegistryError?) {
    guard condition.problem != problem else { return }
    condition.problem = problem
    if let problem { logger.warning("\(problem)") } else { logger.info("the registry is back") }
    publish()
  }
}
