import GRDB
import Model
import Registry

// Rows as values. A value that no declaration could have had means a damaged file: `ImpossibleRow`.

extension DeploymentID: DatabaseValueConvertible {}

extension Deployment {
  init(row: Row) throws {
    let name: String = row["name"]
    let id: Int = row["id"]
    guard let name = try? DeploymentName(name), let id = DeploymentID(exactly: id) else {
      throw ImpossibleRow(detail: "deployment \(id) has the name \(quoted(name))")
    }
    self.init(name: name, id: id)
  }
}

extension Service {
  init(row: Row, of deployment: DeploymentName) throws {
    let name: String = row["name"]
    let number: Int = row["number"]
    let port: Int = row["port"]
    let egress: String = row["egress"]
    let seconds: Int? = row["timeout"]
    let timeout = seconds.flatMap(RequestTimeout.init(seconds:))
    guard let serviceName = try? ServiceName(name), let port = try? PortNumber(port),
      let number = ServiceNumber(exactly: number),
      let egress = try? egress.split(separator: " ").map({ try EgressRule(String($0)) }),
      (timeout == nil) == (seconds == nil)
    else {
      throw ImpossibleRow(detail: "service \(number) of \(deployment) is named \(quoted(name))")
    }
    self.init(
      deployment: deployment, name: serviceName, number: number, port: port,
      isPrivate: row["isPrivate"], egress: egress, timeout: timeout)
  }
}

extension Instance {
  init(row: Row) throws {
    let deployment: String = row["deploymentName"]
    let service: String = row["serviceName"]
    let serviceNumber: Int = row["service"]
    let number: Int = row["number"]
    guard let deploymentName = try? DeploymentName(deployment),
      let serviceName = try? ServiceName(service),
      let serviceNumber = ServiceNumber(exactly: serviceNumber),
      let number = InstanceNumber(exactly: number)
    else {
      throw ImpossibleRow(detail: "instance \(number) of \(quoted("\(deployment)/\(service)"))")
    }
    self.init(
      deployment: deploymentName, service: serviceName, serviceNumber: serviceNumber,
      number: number, runner: row["runner"])
  }
}

extension Database {
  func deployments() throws -> [Deployment] {
    try Row.fetchAll(self, sql: "SELECT id, name FROM deployments ORDER BY name")
      .map(Deployment.init(row:))
  }

  func deploymentIfDeclared(_ name: DeploymentName) throws -> Deployment? {
    try Row.fetchOne(
      self, sql: "SELECT id, name FROM deployments WHERE name = ?", arguments: [name.rawValue]
    ).map(Deployment.init(row:))
  }

  func deployment(_ name: DeploymentName) throws -> Deployment {
    if let deployment = try deploymentIfDeclared(name) { return deployment }
    throw RegistryError.undeclaredDeployment(name, known: try deployments().map(\.name))
  }

  func services(of deployment: Deployment) throws -> [Service] {
    try Row.fetchAll(
      self, sql: "SELECT * FROM services WHERE deployment = ? ORDER BY number",
      arguments: [deployment.id]
    ).map { try Service(row: $0, of: deployment.name) }
  }

  func service(_ name: ServiceName, of deployment: Deployment) throws -> Service {
    let row = try Row.fetchOne(
      self, sql: "SELECT * FROM services WHERE deployment = ? AND name = ?",
      arguments: [deployment.id, name.rawValue])
    if let row { return try Service(row: row, of: deployment.name) }
    throw RegistryError.undeclaredService(
      name, deployment: deployment.name, known: try services(of: deployment).map(\.name))
  }

  /// The instances of one deployment, or of every one.
  func instances(of deployment: Deployment? = nil) throws -> [Instance] {
    try Row.fetchAll(
      self,
      sql: """
        SELECT deployments.name AS deploymentName, services.name AS serviceName,
          instances.service, instances.number, instances.runner
        FROM instances
        JOIN deployments ON deployments.id = instances.deployment
        JOIN services ON services.deployment = instances.deployment
          AND services.number = instances.service
        WHERE ?1 IS NULL OR instances.deployment = ?1
        ORDER BY deployments.name, instances.service, instances.number
        """, arguments: [deployment?.id]
    ).map(Instance.init(row:))
  }
}
