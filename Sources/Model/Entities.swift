/// A set of services that may talk to each other: the unit of isolation.
public struct Deployment: Hashable, Sendable, Codable {
  /// The numbers that a deployment may have.
  public static let ids: ClosedRange<DeploymentID> = 1...16383

  /// The name that people use.
  public let name: DeploymentName

  /// The number that this runner's kernel maps use.
  public let id: DeploymentID

  /// A deployment with `name` and `id`.
  public init(name: DeploymentName, id: DeploymentID) {
    self.name = name
    self.id = id
  }
}

/// A named program of a deployment, as the registry holds it.
public struct Service: Hashable, Sendable, Codable {
  /// The deployment that it belongs to.
  public let deployment: DeploymentName

  /// Its name.
  public let name: ServiceName

  /// Its number, 1 to 510, which is its address for the deployment's life.
  public let number: ServiceNumber

  /// The port that its public URL goes to.
  public let port: PortNumber

  /// Whether it has no public URL.
  public let isPrivate: Bool

  /// The ways out of the deployment that it is allowed.
  public let egress: [EgressRule]

  /// How long it may be silent while a request of its URL is under way; nil for the standard.
  public let timeout: RequestTimeout?

  /// A service of `deployment` with everything that the registry knows of it.
  public init(
    deployment: DeploymentName, name: ServiceName, number: ServiceNumber,
    port: PortNumber = .standard, isPrivate: Bool = false, egress: [EgressRule] = [],
    timeout: RequestTimeout? = nil
  ) {
    self.deployment = deployment
    self.name = name
    self.number = number
    self.port = port
    self.isPrivate = isPrivate
    self.egress = egress
    self.timeout = timeout
  }

  /// How messages name it: `shop/app`.
  public var id: String { "\(deployment)/\(name)" }
}

/// One running copy of a service, on one runner.
public struct Instance: Hashable, Sendable, Codable {
  /// The deployment that it belongs to.
  public let deployment: DeploymentName

  /// The service that it is a copy of.
  public let service: ServiceName

  /// The number of that service, 1 to 510.
  public let serviceNumber: ServiceNumber

  /// Its own number, 2 to 254: with the service's number, its address.
  public let number: InstanceNumber

  /// The name of the runner that it runs on.
  public let runner: String

  /// An instance of `service` on `runner`.
  public init(
    deployment: DeploymentName, service: ServiceName, serviceNumber: ServiceNumber,
    number: InstanceNumber, runner: String
  ) {
    self.deployment = deployment
    self.service = service
    self.serviceNumber = serviceNumber
    self.number = number
    self.runner = runner
  }

  /// How people and files name it: `shop/app.2`.
  public var id: String { "\(deployment)/\(service).\(number)" }
}
