import Dataplane
import Fabric
import Foundation
import FrontDoor
import LinuxSystem
import Logging
import Model
import Registry
import RelayControl

/// What one runner has and does: composes the registry, the data path and the fabrics.
///
/// The kernel holds everything that the data path needs, so this may end at any point: the next one
/// adopts what it finds (`Runner+Adoption.swift`).
public actor Runner {
  private let executor = KernelExecutor()
  /// A Dispatch queue of its own, see `KernelExecutor`.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  let configuration: RunnerConfiguration
  let registry: any SharedRegistry
  let dataplane: Dataplane
  let instancesRoot: Cgroup
  let watch: CgroupWatch
  let logger: Logger
  let startedAt = Date()
  /// What the data path tells, for who observes.
  let feed: EventFeed
  /// Connections of `istbpf connect`.
  let hostConnects = HostConnectCounts()

  /// istbpf-relay, which carries what leaves a fabric.
  let relay: RelayLink
  /// The namespaces in which this daemon has made the link of held SYNs, by the deployment's id: their inodes.
  var replayLinks: [DeploymentID: UInt64] = [:]
  /// Which instances connections from this runner go to.
  var selection: InstanceSelection
  /// Where every instance is; nil on a runner that is alone.
  let directory: InstanceDirectory?
  /// Asks other runners; nil on a runner that is alone, and at the beginning.
  var questions: PeerQuestions?
  /// What happened in the last hour.
  var history = HistoryLog()
  /// The front door; nil on a runner that has none.
  let frontDoor: FrontDoor?
  /// What is known of all runners; nil on a runner that is alone, and at the beginning.
  var view: ClusterView? {
    didSet { viewed = Dictionary(grouping: view?.instances ?? [], by: \.deployment) }
  }
  /// The instances of it, by deployment.
  private(set) var viewed: [DeploymentName: [Instance]] = [:]

  /// Names outside that services may connect to.
  let outside: OutsideNames
  /// What was made known of the ways out of deployments.
  var egress = PublishedEgress()
  /// The hosts files of instances.
  var hostsFiles = HostsFiles()
  /// When the hosts files that are in it are to be looked at again.
  var isHostsUpdateScheduled = false

  /// How long instances took to start.
  let startDurations = DurationHistogram.ofStarts()
  /// The instances of this runner.
  var instances = InstanceTable()
  /// The services that the kernel may know, by the deployment's id.
  var published: [DeploymentID: Set<ServiceNumber>] = [:]
  /// Deployments that the kernel or a hosts file may not have as the registry says, see `apply`.
  var unapplied: Set<Deployment> = []
  /// How often something was applied, so that one that waited knows whether what it read is old.
  var applications = 0
  /// Those that are to be told when something was applied.
  var watchers: [UUID: AsyncStream<Void>.Continuation] = [:]
  var isRetryScheduled = false
  /// How long the next retry waits; nil where nothing failed.
  var retryDelay: Duration?

  /// A runner over what the kernel and the registry hold; `adopt` it before use.
  init(
    configuration: RunnerConfiguration, registry: any SharedRegistry, dataplane: Dataplane,
    cgroups: CgroupHierarchy, relay: RelayLink, frontDoor: FrontDoor? = nil, logger: Logger
  ) throws {
    self.configuration = configuration
    selection = configuration.cluster?.selection ?? .localFirst
    self.registry = registry
    self.dataplane = dataplane
    self.relay = relay
    directory = configuration.cluster.map {
      InstanceDirectory(
        plan: configuration.plan, cluster: $0.identity.cluster, own: $0.identity.name)
    }
    self.frontDoor = frontDoor
    self.logger = logger
    outside = try OutsideNames(configuration, logger: logger)
    feed = EventFeed { wanted in
      do { try dataplane.observeConnections(wanted) } catch {
        logger.error("connections cannot be observed: \(error)")
      }
    }
    instancesRoot = cgroups.cgroup(configuration.installation.cgroupName)
    watch = try CgroupWatch()
    try instancesRoot.create()
  }

  var installation: Installation { configuration.installation }
  var plan: AddressPlan { configuration.plan }

  func fabric(of deployment: DeploymentName) -> FabricNamespace {
    FabricNamespace(of: deployment, prefix: installation.fabricPrefix, plan: plan)
  }

  func running(
    _ instance: Instance, of deployment: Deployment, record: ContainerRecord? = nil
  ) -> RunningInstance {
    RunningInstance(
      instance, deployment: deployment, plan: plan, instancesRoot: instancesRoot,
      installation: installation, record: record)
  }

  /// The numbers of the instances of a service that run here and may be known.
  private func local(_ service: Service) -> Set<InstanceNumber> {
    Set(
      instances.identified.map(\.instance)
        .filter { $0.deployment == service.deployment && $0.serviceNumber == service.number }
        .map(\.number))
  }

  /// Makes a service and where its instances are known to connect(). Where that fails it is tried again,
  /// see `apply`.
  func publish(_ service: Service, of deployment: Deployment) throws {
    published[deployment.id, default: []].insert(service.number)
    do {
      try dataplane.publish(
        service: service, deployment: deployment.id, local: local(service),
        remote: remoteInstances(of: service),
        selection: selection(of: service))
      // Of many, the relay is told where instances are as the registry says it.
      if configuration.cluster == nil { try tellRelay(deployment) }
    } catch {
      markUnapplied(deployment)
      throw error
    }
  }

  /// Ends instances as their last process ends, until the task is cancelled.
  public func endEmptiedInstances() async {
    // Side by side, since each may wait for its readers.
    await withDiscardingTaskGroup { group in
      for await cgroup in watch.emptied {
        if instances.dismissed.remove(cgroup) != nil {
          removeDismissed(cgroup)
        } else if let ended = instances.first(where: { $0.cgroup == cgroup }) {
          group.addTask { await self.end(ended) }
        }
      }
    }
  }
}
