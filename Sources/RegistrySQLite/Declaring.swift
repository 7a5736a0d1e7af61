import GRDB
import Model
import Registry

/// One declaration of services in a deployment, within a transaction.
struct Declaring {
  let database: Database
  let name: DeploymentName
  let declarations: [ServiceDeclaration]
  let replace: Bool

  func callAsFunction() throws -> DeclarationOutcome {
    let existing = try database.deploymentIfDeclared(name)
    let before = try existing.map { try database.services(of: $0) } ?? []
    let declared = Set(declarations.map(\.name))
    let removed = replace ? before.filter { !declared.contains($0.name) } : []
    let kept = before.filter { !removed.contains($0) }
    try check(kept: kept)

    guard let deployment = try existing ?? (declarations.isEmpty ? nil : createDeployment()) else {
      throw RegistryError.undeclaredDeployment(name, known: try database.deployments().map(\.name))
    }
    try remove(removed, from: deployment)
    let changed = try change(kept, of: deployment)
    let keptNames = Set(kept.map(\.name))
    let added = declarations.filter { !keptNames.contains($0.name) }
    try add(added, to: deployment)

    let services = try database.services(of: deployment)
    if services.isEmpty { try disband(deployment) }
    return DeclarationOutcome(
      deployment: services.isEmpty ? nil : deployment, services: services,
      added: added.map(\.name), changed: changed, removed: removed)
  }

  private func check(kept: [Service]) throws {
    let declared = declarations.map(\.name)
    let others = kept.map(\.name).filter { !declared.contains($0) }
    if let collision = NameCollision.first(among: others + declared) {
      throw RegistryError.nameCollision(collision, deployment: name)
    }
    let count = others.count + declared.count
    guard count <= AddressPlan.serviceNumbers.count else {
      throw RegistryError.tooManyServices(deployment: name, count: count)
    }
  }

  private func createDeployment() throws -> Deployment {
    let used = try DeploymentID.fetchSet(database, sql: "SELECT id FROM deployments")
    let released = try DeploymentID.fetchAll(
      database, sql: "SELECT id FROM releasedDeployments ORDER BY sequence")
    guard let id = NumberPool.next(in: Deployment.ids, used: used, released: released) else {
      throw RegistryError.tooManyDeployments(name)
    }
    try database.execute(sql: "DELETE FROM releasedDeployments WHERE id = ?", arguments: [id])
    try database.execute(
      sql: "INSERT INTO deployments (id, name) VALUES (?, ?)", arguments: [id, name.rawValue])
    return Deployment(name: name, id: id)
  }

  private func remove(_ services: [Service], from deployment: Deployment) throws {
    if services.isEmpty { return }
    let numbers = Set(services.map(\.number))
    let running = try database.instances(of: deployment).filter {
      numbers.contains($0.serviceNumber)
    }
    guard running.isEmpty else { throw RegistryError.serviceHasInstances(running) }
    for service in services {
      try database.execute(
        sql: "INSERT INTO releasedServices (deployment, number, name) VALUES (?, ?, ?)",
        arguments: [deployment.id, service.number, service.name.rawValue])
      try database.execute(
        sql: "DELETE FROM services WHERE deployment = ? AND number = ?",
        arguments: [deployment.id, service.number])
    }
  }

  private func change(_ kept: [Service], of deployment: Deployment) throws -> [ServiceName] {
    var changed: [ServiceName] = []
    for service in kept {
      guard let declaration = declarations.first(where: { $0.name == service.name }),
        declaration.port != service.port || declaration.isPrivate != service.isPrivate
          || declaration.egress != service.egress || declaration.timeout != service.timeout
      else { continue }
      try database.execute(
        sql: """
          UPDATE services SET port = ?, isPrivate = ?, egress = ?, timeout = ?
          WHERE deployment = ? AND number = ?
          """,
        arguments: [
          declaration.port.rawValue, declaration.isPrivate, egressText(declaration),
          declaration.timeout?.seconds, deployment.id, service.number,
        ])
      changed.append(service.name)
    }
    return changed
  }

  private func add(_ added: [ServiceDeclaration], to deployment: Deployment) throws {
    // Names that find their old number again go first, before a new name could be given it.
    var new: [ServiceDeclaration] = []
    for declaration in added {
      let number = try ServiceNumber.fetchOne(
        database, sql: "SELECT number FROM releasedServices WHERE deployment = ? AND name = ?",
        arguments: [deployment.id, declaration.name.rawValue])
      if let number {
        try insert(declaration, number, into: deployment)
      } else {
        new.append(declaration)
      }
    }
    for declaration in new {
      let used = try ServiceNumber.fetchSet(
        database, sql: "SELECT number FROM services WHERE deployment = ?",
        arguments: [deployment.id])
      let released = try ServiceNumber.fetchAll(
        database, sql: "SELECT number FROM releasedServices WHERE deployment = ? ORDER BY sequence",
        arguments: [deployment.id])
      guard
        let number = NumberPool.next(
          in: AddressPlan.serviceNumbers, used: used, released: released)
      else { throw RegistryError.tooManyServices(deployment: name, count: used.count + 1) }
      try insert(declaration, number, into: deployment)
    }
  }

  private func insert(
    _ declaration: ServiceDeclaration, _ number: ServiceNumber, into deployment: Deployment
  ) throws {
    try database.execute(
      sql: "DELETE FROM releasedServices WHERE deployment = ? AND number = ?",
      arguments: [deployment.id, number])
    try database.execute(
      sql: """
        INSERT INTO services (deployment, number, name, port, isPrivate, egress, timeout)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        deployment.id, number, declaration.name.rawValue, declaration.port.rawValue,
        declaration.isPrivate, egressText(declaration), declaration.timeout?.seconds,
      ])
  }

  private func disband(_ deployment: Deployment) throws {
    try database.execute(sql: "DELETE FROM deployments WHERE id = ?", arguments: [deployment.id])
    try database.execute(
      sql: "INSERT INTO releasedDeployments (id) VALUES (?)", arguments: [deployment.id])
  }

  /// A rule has no space in it, so a space parts them.
  private func egressText(_ declaration: ServiceDeclaration) -> String {
    declaration.egress.map(\.description).joined(separator: " ")
  }
}
