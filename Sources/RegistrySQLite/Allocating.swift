import GRDB
import Model
import Registry

extension Database {
  /// Takes a number for a new instance, within a transaction.
  func allocateInstance(
    of service: Service, in deployment: Deployment, runner: String
  ) throws -> Instance {
    let used = try InstanceNumber.fetchSet(
      self, sql: "SELECT number FROM instances WHERE deployment = ? AND service = ?",
      arguments: [deployment.id, service.number])
    let released = try InstanceNumber.fetchAll(
      self,
      sql: """
        SELECT number FROM releasedInstances WHERE deployment = ? AND service = ? ORDER BY sequence
        """, arguments: [deployment.id, service.number])
    guard
      let number = NumberPool.next(in: AddressPlan.instanceNumbers, used: used, released: released)
    else {
      throw RegistryError.tooManyInstances(deployment: deployment.name, service: service.name)
    }
    try execute(
      sql: "DELETE FROM releasedInstances WHERE deployment = ? AND service = ? AND number = ?",
      arguments: [deployment.id, service.number, number])
    try execute(
      sql: "INSERT INTO instances (deployment, service, number, runner) VALUES (?, ?, ?, ?)",
      arguments: [deployment.id, service.number, number, runner])
    return Instance(
      deployment: deployment.name, service: service.name, serviceNumber: service.number,
      number: number, runner: runner)
  }

  /// Gives an instance's number back, within a transaction; false if there is no such instance.
  func releaseInstance(_ instance: Instance) throws -> Bool {
    guard let deployment = try deploymentIfDeclared(instance.deployment) else { return false }
    // Everything is compared, so that a late release does not end an instance that has the number now.
    try execute(
      sql: """
        DELETE FROM instances WHERE deployment = ? AND service = ? AND number = ? AND runner = ?
          AND EXISTS (SELECT 1 FROM services WHERE services.deployment = instances.deployment
            AND services.number = instances.service AND services.name = ?)
        """,
      arguments: [
        deployment.id, instance.serviceNumber, instance.number, instance.runner,
        instance.service.rawValue,
      ])
    guard changesCount > 0 else { return false }
    try execute(
      sql: "INSERT INTO releasedInstances (deployment, service, number) VALUES (?, ?, ?)",
      arguments: [deployment.id, instance.serviceNumber, instance.number])
    return true
  }
}
