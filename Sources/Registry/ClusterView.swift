import Model

/// What exists on all runners, as this runner knows it: one moment's whole.
///
/// Two views tell what changed between them (`changes(since:)`), so a reader that was slow and missed
/// some in between loses nothing.
public struct ClusterView: Hashable, Sendable {
  /// Every deployment with this runner's id of it, in the order of their names.
  public let deployments: [Deployment]

  /// Every service, by the deployments' names, then by number.
  public let services: [Service]

  /// Every instance with the runner that it is on, by the deployments' names, then by address.
  public let instances: [Instance]

  /// Every runner that is there, in the order of their names.
  public let runners: [ClusterRunner]

  /// How far this can be relied on.
  public let condition: ClusterCondition

  /// A view from its parts, which are put in order.
  public init(
    deployments: [Deployment], services: [Service], instances: [Instance],
    runners: [ClusterRunner], condition: ClusterCondition
  ) {
    self.deployments = deployments.sorted { $0.name < $1.name }
    self.services = services.sorted {
      ($0.deployment, $0.number) < ($1.deployment, $1.number)
    }
    self.instances = instances.sorted {
      ($0.deployment, $0.serviceNumber, $0.number) < ($1.deployment, $1.serviceNumber, $1.number)
    }
    self.runners = runners.sorted { $0.name < $1.name }
    self.condition = condition
  }

  /// The names of the runners that are being emptied.
  public var drainedRunners: Set<String> { Set(runners.filter(\.isDrained).map(\.name)) }
}

/// A runner, as the others need to know it.
public struct ClusterRunner: Hashable, Sendable, Codable {
  /// Its name, which its certificate has too.
  public let name: String

  /// Where its tunnels are taken, `HOST:PORT`; empty on a runner that has none.
  public let address: String

  /// The version of istbpf that it runs.
  public let version: String

  /// Whether it is being emptied (`SharedRegistry.setDrained`).
  public let isDrained: Bool

  /// A runner from its parts.
  public init(name: String, address: String, version: String, isDrained: Bool = false) {
    self.name = name
    self.address = address
    self.version = version
    self.isDrained = isDrained
  }

  /// Reads what is kept in a file; an earlier version wrote no `isDrained`.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      name: try container.decode(String.self, forKey: .name),
      address: try container.decode(String.self, forKey: .address),
      version: try container.decode(String.self, forKey: .version),
      isDrained: try container.decodeIfPresent(Bool.self, forKey: .isDrained) ?? false)
  }
}

/// How far a view of the cluster can be relied on.
public struct ClusterCondition: Hashable, Sendable {
  /// Whether changes are being received. Where not, the view is the last that was known.
  public var isCurrent: Bool

  /// What keeps this runner from receiving changes, or from being seen by the others; nil if nothing.
  public var problem: RegistryError?

  /// Instances that are shown although they vanished, since too many did at once; nil if none are.
  public var heldLoss: HeldLoss?

  /// Runners whose lease ended and whose instances are shown still: their istbpfd is not well, and the instances may be.
  public var staleRunners: Set<String>

  /// Instances of this runner whose number was given to another runner, which then has it; they
  /// should be stopped. It takes a registry that was restored from a backup, or `forgetRunner`.
  public var displaced: [Instance]

  /// A condition from its parts; nothing is wrong if none is given.
  public init(
    isCurrent: Bool = true, problem: RegistryError? = nil, heldLoss: HeldLoss? = nil,
    staleRunners: Set<String> = [], displaced: [Instance] = []
  ) {
    self.staleRunners = staleRunners
    self.isCurrent = isCurrent
    self.problem = problem
    self.heldLoss = heldLoss
    self.displaced = displaced
  }
}

/// More than half of all instances vanished in one update, as when somebody deletes the wrong keys.
///
/// They go on being shown until they are back, a second listing after a while confirms that they are
/// gone, or `SharedRegistry.confirmLoss()` says so.
public struct HeldLoss: Hashable, Sendable {
  /// How many instances are shown that the registry does not have.
  public let missing: Int

  /// How many instances are shown altogether.
  public let total: Int

  /// A loss of `missing` instances out of `total`.
  public init(missing: Int, total: Int) {
    self.missing = missing
    self.total = total
  }
}

extension HeldLoss: CustomStringConvertible {
  /// What to tell people.
  public var description: String {
    "\(missing) of \(total) instances vanished from the registry at once; they are kept until that "
      + "is confirmed"
  }
}
