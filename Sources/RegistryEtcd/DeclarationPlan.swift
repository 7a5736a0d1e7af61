import Model
import Registry

/// What a declaration does to a deployment: pure, from what etcd has of it.
///
/// The rules are those of `Registry.declare`, and of the SQLite registry.
struct DeclarationPlan {
  /// The services afterwards, in the order of their numbers.
  let services: [Service]
  let added: [ServiceName]
  let changed: [ServiceName]
  let removed: [Service]

  /// The numbers that rest afterwards.
  let numbers: ServiceNumbers

  /// The plan for a deployment that has the services `before`, whose free `numbers` rest, and of which
  /// the instances `running` run on whichever runner.
  ///
  /// - Throws: `RegistryError` as `Registry.declare`, but for deployments.
  init(
    _ declarations: [ServiceDeclaration], in deployment: DeploymentName, replace: Bool,
    before: [Service], numbers: ServiceNumbers, running: [Instance]
  ) throws {
    let declared = Set(declarations.map(\.name))
    let removed = replace ? before.filter { !declared.contains($0.name) } : []
    let kept = before.filter { !removed.contains($0) }
    try Self.check(declarations.map(\.name), kept: kept.map(\.name), deployment)
    let gone = Set(removed.map(\.number))
    let stranded = running.filter { gone.contains($0.serviceNumber) }
    guard stranded.isEmpty else { throw RegistryError.serviceHasInstances(stranded) }

    var numbers = numbers
    numbers.released += removed.map { .init(number: $0.number, name: $0.name) }
    var services = Dictionary(uniqueKeysWithValues: kept.map { ($0.name, $0) })
    var changed: [ServiceName] = []
    for declaration in declarations {
      guard let old = services[declaration.name] else { continue }
      let new = Service(declaration, in: deployment, number: old.number)
      if new != old { changed.append(new.name) }
      services[new.name] = new
    }
    let added = declarations.filter { services[$0.name] == nil }
    // Names that find their old number again go first, before a new name could be given it.
    for declaration in added {
      guard let old = numbers.released.first(where: { $0.name == declaration.name }) else {
        continue
      }
      numbers.released.removeAll { $0 == old }
      services[declaration.name] = Service(declaration, in: deployment, number: old.number)
    }
    var used = Set(services.values.map(\.number))
    for declaration in added where services[declaration.name] == nil {
      guard
        let number = NumberPool.next(
          in: AddressPlan.serviceNumbers, used: used, released: numbers.released.map(\.number))
      else { throw RegistryError.tooManyServices(deployment: deployment, count: used.count + 1) }
      used.insert(number)
      numbers.released.removeAll { $0.number == number }
      services[declaration.name] = Service(declaration, in: deployment, number: number)
    }
    self.services = services.values.sorted { $0.number < $1.number }
    self.added = added.map(\.name)
    self.changed = changed
    self.removed = removed
    self.numbers = numbers
  }

  private static func check(
    _ declared: [ServiceName], kept: [ServiceName], _ deployment: DeploymentName
  ) throws {
    let names = Set(declared)
    let all = kept.filter { !names.contains($0) } + declared
    if let collision = NameCollision.first(among: all) {
      throw RegistryError.nameCollision(collision, deployment: deployment)
    }
    guard all.count <= AddressPlan.serviceNumbers.count else {
      throw RegistryError.tooManyServices(deployment: deployment, count: all.count)
    }
  }
}

extension Service {
  init(_ declaration: ServiceDeclaration, in deployment: DeploymentName, number: ServiceNumber) {
    self.init(
      deployment: deployment, name: declaration.name, number: number, port: declaration.port,
      isPrivate: declaration.isPrivate, egress: declaration.egress, timeout: declaration.timeout)
  }
}
