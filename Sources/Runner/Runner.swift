import Dataplane
import Fabric
import Foundation
import LinuxSystem
import Logging
import Model
import Registry

/// What one runner has and does: composes the registry, the data path and the fabrics.
///
/// The kernel holds everything that the data path needs, so this may end at any point: the next one
/// adopts what it finds (`Runner+Adoption.swift`).
public actor Runner {
  private let executor = KernelExecutor()
  /// A thread of its own, see `KernelExecutor`.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  let configuration: RunnerConfiguration
  let registry: any Registry
  let dataplane: Dataplane
  let instancesRoot: Cgroup
  let watch: CgroupWatch
  let logger: Logger
  let startedAt = Date()

  /// Connections to other runners; nil on a runner that is alone.
  let remote: RemoteConnects?
  /// What is known of all runners; nil on a runner that is alone, and at the beginning.
  var view: ClusterView?

  /// The instances that run here, by `Instance.id`.
  var running: [String: RunningInstance] = [:]

  /// A runner over what the kernel and the registry hold; `adopt` it before use.
  init(
    configuration: RunnerConfiguration, registry: any Registry, dataplane: Dataplane,
    cgroups: CgroupHierarchy, remote: RemoteConnects? = nil, logger: Logger
  ) throws {
    self.configuration = configuration
    self.registry = registry
    self.dataplane = dataplane
    self.remote = remote
    self.logger = logger
    instancesRoot = cgroups.cgroup(configuration.installation.cgroupName)
    watch = try CgroupWatch()
    try instancesRoot.create()
  }

  var installation: Installation { configuration.installation }
  var plan: AddressPlan { configuration.plan }

  func fabric(of deployment: DeploymentName) -> FabricNamespace {
    FabricNamespace(name: installation.fabricPrefix + deployment.rawValue, plan: plan)
  }

  func running(_ instance: Instance, of deployment: Deployment) -> RunningInstance {
    RunningInstance(
      instance, deployment: deployment, plan: plan, instancesRoot: instancesRoot,
      installation: installation)
  }

  /// The numbers of the instances of a service that run here.
  private func local(_ service: Service) -> Set<InstanceNumber> {
    Set(
      running.values.map(\.instance)
        .filter { $0.deployment == service.deployment && $0.serviceNumber == service.number }
        .map(\.number))
  }

  /// Makes a service and where its instances are known to connect().
  func publish(_ service: Service, of deployment: Deployment) throws {
    try dataplane.publish(
      service: service, deployment: deployment.id, local: local(service),
      remote: remoteInstances(of: service))
  }

  /// Ends instances as their last process ends, until the task is cancelled.
  public func endEmptiedInstances() async {
    for await cgroup in watch.emptied {
      guard let ended = running.values.first(where: { $0.cgroup == cgroup }) else { continue }
      await end(ended)
    }
  }
}
