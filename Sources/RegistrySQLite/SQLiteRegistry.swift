import GRDB
import Model
import Registry

/// The registry of one runner, in a file of SQLite.
///
/// A change is on the disk before its call returns. A disk that is full refuses changes and nothing
/// else: what was there stays, and changes are possible again when there is room.
public final class SQLiteRegistry: Registry {
  /// The file.
  public let path: String

  let queue: DatabaseQueue

  /// Opens the registry in the file at `path`, which is made (mode 0600) if there is none.
  ///
  /// - Throws: `RegistryError`: `.foreign`, `.newer` or `.corrupt` for a file that it does not touch
  ///   then, `.full`, `.busy`, and `.unavailable` where the file cannot be opened or made.
  public convenience init(path: String) throws {
    try self.init(path: path, patience: 5)
  }

  /// The same, waiting for another process that writes for `patience` seconds.
  init(path: String, patience: Double) throws {
    self.path = path
    self.queue = try RegistryFile(path: path, patience: patience).open()
  }

  /// Closes the file; the registry cannot be used after. A registry that goes away does so too.
  ///
  /// - Throws: `RegistryError` if a call is still under way.
  public func close() throws {
    try translatingErrors(of: path) { try queue.close() }
  }

  /// Declares services in one transaction; see `Registry`.
  public func declare(
    _ services: [ServiceDeclaration], in deployment: DeploymentName, replace: Bool
  ) async throws -> DeclarationOutcome {
    try await write { database in
      try Declaring(
        database: database, name: deployment, declarations: services, replace: replace)()
    }
  }

  /// Every deployment, in the order of their names; see `Registry`.
  public func deployments() async throws -> [Deployment] {
    try await read { try $0.deployments() }
  }

  /// The deployment `name`; see `Registry`.
  public func deployment(named name: DeploymentName) async throws -> Deployment {
    try await read { try $0.deployment(name) }
  }

  /// Every service of `deployment`; see `Registry`.
  public func services(of deployment: DeploymentName) async throws -> [Service] {
    try await read { try $0.services(of: $0.deployment(deployment)) }
  }

  /// The service `name` of `deployment`; see `Registry`.
  public func service(
    _ name: ServiceName, of deployment: DeploymentName
  ) async throws -> Service {
    try await read { try $0.service(name, of: $0.deployment(deployment)) }
  }

  /// Every instance of `deployment`; see `Registry`.
  public func instances(of deployment: DeploymentName) async throws -> [Instance] {
    try await read { try $0.instances(of: $0.deployment(deployment)) }
  }

  /// Every instance of every deployment; see `Registry`.
  public func instances() async throws -> [Instance] {
    try await read { try $0.instances() }
  }

  /// Takes a number for a new instance in one transaction; see `Registry`.
  public func allocateInstance(
    of service: ServiceName, in deployment: DeploymentName, runner: String
  ) async throws -> Instance {
    try await write { database in
      let deployment = try database.deployment(deployment)
      return try database.allocateInstance(
        of: database.service(service, of: deployment), in: deployment, runner: runner)
    }
  }

  /// Gives the number of `instance` back in one transaction; see `Registry`.
  @discardableResult
  public func releaseInstance(_ instance: Instance) async throws -> Bool {
    try await write { try $0.releaseInstance(instance) }
  }

  private func read<Result: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Result
  ) async throws -> Result {
    try await translatingErrors(of: path) { try await queue.read(body) }
  }

  /// Does `body` in a transaction that has the file's write lock from its beginning.
  private func write<Result: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Result
  ) async throws -> Result {
    try await translatingErrors(of: path) { try await queue.write(body) }
  }
}
