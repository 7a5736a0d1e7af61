import Model
import Registry

/// The ids that deployments have on this runner: its kernel's maps know deployments by them.
struct DeploymentIDs: Codable, Hashable, Sendable {
  struct Released: Codable, Hashable, Sendable {
    var name: DeploymentName
    var id: DeploymentID
  }

  /// The ids in use, by deployment.
  private(set) var used: [String: DeploymentID] = [:]

  /// Ids that were used and are free, longest ago first. A deployment that comes back finds its own
  /// again: it may only have been out of sight.
  private(set) var released: [Released] = []

  /// The deployment's id, which it gets if it has none.
  ///
  /// - Throws: `RegistryError.tooManyDeployments`.
  mutating func id(of name: DeploymentName) throws -> DeploymentID {
    if let id = used[name.rawValue] { return id }
    let free =
      released.first { $0.name == name }?.id
      ?? NumberPool.next(
        in: Deployment.ids, used: Set(used.values), released: released.map(\.id))
    guard let free else { throw RegistryError.tooManyDeployments(name) }
    released.removeAll { $0.id == free }
    used[name.rawValue] = free
    return free
  }

  /// Releases the ids of all deployments but `names`, and gives an id to those that have none, as far
  /// as there are ids.
  mutating func keep(_ names: Set<DeploymentName>) {
    for (text, id) in used.sorted(by: { $0.value < $1.value }) {
      guard let name = try? DeploymentName(text), !names.contains(name) else { continue }
      used[text] = nil
      released.append(Released(name: name, id: id))
    }
    // One that gets none is not shown (`EtcdRegistry.makeView`), and is told so when it is declared here.
    for name in names.sorted() { _ = try? id(of: name) }
  }
}
