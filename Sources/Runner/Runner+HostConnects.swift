import Fabric
import Model
import Registry
import Synchronization

/// Where a connection of `istbpf connect` may go.
struct HostTarget: Sendable {
  /// The service: `shop/db`.
  let service: String
  let port: PortNumber
  /// Those of this runner: at least one.
  let instances: [Instance]
  let fabric: FabricNamespace
  let plan: AddressPlan
  /// To be called for each connection that has come about.
  let count: @Sendable () -> Void
}

extension Runner {
  /// The instances of a service on this runner that may be connected with from the host; 0 is the
  /// service's own port.
  ///
  /// Throws `RegistryError`, `InvalidPort` or `RunnerError`.
  func hostTarget(
    of name: ServiceName, in deployment: DeploymentName, port: Int
  ) async throws -> HostTarget {
    let service = try await registry.service(name, of: deployment)
    let number = try port == 0 ? service.port : PortNumber(port)
    let own = instances.map(\.instance).filter {
      $0.deployment == deployment && $0.serviceNumber == service.number
    }
    guard !own.isEmpty else {
      let others = (view?.instances ?? []).filter {
        $0.deployment == deployment && $0.serviceNumber == service.number
      }
      throw RunnerError.noInstanceHere(service.id, runners: Set(others.map(\.runner)).sorted())
    }
    let counts = hostConnects
    return HostTarget(
      service: service.id, port: number, instances: own, fabric: fabric(of: deployment), plan: plan
    ) { counts.add(deployment, name) }
  }
}

/// How many connections of `istbpf connect` each service has had since this daemon began.
final class HostConnectCounts: Sendable {
  struct Key: Hashable, Comparable {
    let deployment: String
    let service: String

    static func < (left: Key, right: Key) -> Bool {
      (left.deployment, left.service) < (right.deployment, right.service)
    }
  }

  private let counts = Mutex<[Key: Int]>([:])

  /// One more.
  func add(_ deployment: DeploymentName, _ service: ServiceName) {
    let key = Key(deployment: deployment.rawValue, service: service.rawValue)
    counts.withLock { $0[key, default: 0] += 1 }
  }

  /// All of them, in the order of their names.
  var all: [(key: Key, value: Int)] {
    counts.withLock { $0 }.sorted { $0.key < $1.key }
  }
}
