import Model

/// Where runners keep what exists: deployments, their services, and the running instances.
///
/// Every change is one transaction: it is done as a whole, and lasting, when the call returns, or it
/// throws and nothing changed. Errors are `RegistryError`, and `CancellationError` where the calling
/// task is cancelled before the change.
public protocol Registry: Sendable {
  /// Declares `services` in `deployment`, which comes into being with its first service.
  ///
  /// A service that is there already keeps its number and takes the declared port, privacy,
  /// egress and timeout. A name that the deployment had before gets the number that it had, unless the other
  /// numbers ran out meanwhile and another service got it.
  ///
  /// - Parameters:
  ///   - services: the declarations, each name once.
  ///   - deployment: the deployment's name.
  ///   - replace: whether services that are not named are removed. With none left the deployment
  ///     disappears.
  /// - Returns: what the deployment is now, and what the call changed.
  /// - Throws: `RegistryError.nameCollision`, `.tooManyServices`, `.tooManyDeployments`,
  ///   `.serviceHasInstances` if a service to be removed runs, and `.undeclaredDeployment` if there
  ///   is neither a service to declare nor such a deployment.
  func declare(
    _ services: [ServiceDeclaration], in deployment: DeploymentName, replace: Bool
  ) async throws -> DeclarationOutcome

  /// Every deployment, in the order of their names.
  ///
  /// - Throws: `RegistryError`.
  func deployments() async throws -> [Deployment]

  /// The deployment `name`.
  ///
  /// - Throws: `RegistryError.undeclaredDeployment`.
  func deployment(named name: DeploymentName) async throws -> Deployment

  /// Every service of `deployment`, in the order of their numbers.
  ///
  /// - Throws: `RegistryError.undeclaredDeployment`.
  func services(of deployment: DeploymentName) async throws -> [Service]

  /// The service `name` of `deployment`.
  ///
  /// - Throws: `RegistryError.undeclaredDeployment` or `.undeclaredService`.
  func service(_ name: ServiceName, of deployment: DeploymentName) async throws -> Service

  /// Every instance of `deployment`, in the order of their addresses.
  ///
  /// - Throws: `RegistryError.undeclaredDeployment`.
  func instances(of deployment: DeploymentName) async throws -> [Instance]

  /// Every instance of every deployment, by the deployments' names, then by address.
  ///
  /// - Throws: `RegistryError`.
  func instances() async throws -> [Instance]

  /// Takes a number for a new instance: the lowest that no instance ever had, or else the one that
  /// was released longest ago.
  ///
  /// - Parameters:
  ///   - service: the service's name.
  ///   - deployment: the deployment's name.
  ///   - runner: the name of the runner where the instance will run.
  /// - Returns: the instance, which has the number until it is released.
  /// - Throws: `RegistryError.undeclaredDeployment`, `.undeclaredService` or `.tooManyInstances`.
  func allocateInstance(
    of service: ServiceName, in deployment: DeploymentName, runner: String
  ) async throws -> Instance

  /// Gives the number of `instance` back.
  ///
  /// - Returns: whether it was there; a second release of the same instance changes nothing.
  /// - Throws: `RegistryError`.
  @discardableResult
  func releaseInstance(_ instance: Instance) async throws -> Bool
}

/// What a declaration did.
public struct DeclarationOutcome: Hashable, Sendable {
  /// The deployment; nil if it disappeared with its last service.
  public let deployment: Deployment?

  /// Every service that the deployment has now, in the order of their numbers.
  public let services: [Service]

  /// The names that the deployment did not have before.
  public let added: [ServiceName]

  /// The names whose port, privacy, egress or timeout changed.
  public let changed: [ServiceName]

  /// The services that the deployment has no more.
  public let removed: [Service]

  /// An outcome from its parts.
  public init(
    deployment: Deployment?, services: [Service], added: [ServiceName], changed: [ServiceName],
    removed: [Service]
  ) {
    self.deployment = deployment
    self.services = services
    self.added = added
    self.changed = changed
    self.removed = removed
  }
}
