/// What a developer says of a service: everything but the numbers, which the registry gives.
public struct ServiceDeclaration: Hashable, Sendable, Codable {
  /// The service's name.
  public let name: ServiceName

  /// The port that its public URL goes to.
  public let port: PortNumber

  /// Whether it has no public URL.
  public let isPrivate: Bool

  /// The ways out of the deployment that it is allowed.
  public let egress: [EgressRule]

  /// How long it may be silent while a request of its URL is under way; nil for the standard.
  public let timeout: RequestTimeout?

  /// A declaration from its parts.
  public init(
    name: ServiceName, port: PortNumber = .standard, isPrivate: Bool = false,
    egress: [EgressRule] = [], timeout: RequestTimeout? = nil
  ) {
    self.name = name
    self.port = port
    self.isPrivate = isPrivate
    self.egress = egress
    self.timeout = timeout
  }

  /// The declaration that an argument of the form `NAME[:PORT]` is.
  ///
  /// - Throws: `InvalidName` or `InvalidPort`.
  public init(argument: String) throws {
    let colon = argument.lastIndex(of: ":")
    try self.init(
      name: ServiceName(String(argument[..<(colon ?? argument.endIndex)])),
      port: colon.map { try PortNumber(argument[argument.index(after: $0)...]) } ?? .standard)
  }
}
