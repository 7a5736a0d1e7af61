import Dispatch
import Fabric
import FrontDoor
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import RelayControl
import ServiceLog
import Synchronization

/// Where the front door's requests come in: a Unix socket for each public service, whose connections
/// go to the service's port on one of its instances, with the fabric's gateway as their source.
final class PublicServices: Sendable {
  private let relay: Relay
  private let directory: InstanceDirectory
  private let fabrics: FabricNames
  private let listeners: ListenerStore
  private let group: gid_t
  private let logger: Logger
  private let queue = DispatchQueue(label: "istbpf.front-door")
  private let dialing = DispatchQueue(label: "istbpf.front-door.dial", attributes: .concurrent)
  private let sockets = Mutex<[String: ServiceListener]>([:])
  /// How many requests look for an instance.
  private let serving = Atomic(0)

  /// Whether a request looks for an instance.
  var isServing: Bool { serving.load(ordering: .relaxed) > 0 }

  /// Takes requests in the directory `sockets`, from HAProxy's user alone. Throws `SystemError`, or
  /// `ConfigurationProblem` where there is no such user.
  init(
    relay: Relay, directory: InstanceDirectory, fabrics: FabricNames, listeners: ListenerStore,
    sockets: String, logger: Logger
  ) throws {
    (self.relay, self.directory, self.fabrics) = (relay, directory, fabrics)
    (self.listeners, self.logger) = (listeners, logger)
    do {
      group = try Credentials(lookingUp: FrontDoorSettings.user).gid
    } catch {
      throw ConfigurationProblem(
        key: "frontDoor", problem: "needs HAProxy: \(error); is Debian's haproxy installed?")
    }
    let parent = String(sockets[..<(sockets.lastIndex(of: "/") ?? sockets.endIndex)])
    for (path, mode) in [(parent, mode_t(0o755)), (sockets, 0o750)] {
      guard mkdir(path, mode) == 0 || errno == EEXIST, chown(path, 0, group) == 0,
        chmod(path, mode) == 0
      else { throw SystemError(.last, "make directory", path) }
    }
  }

  /// Takes requests for these services too; those of others are still taken. Throws the first error, once all were
  /// tried.
  func open(_ routes: [PublicRoute]) throws {
    var first: (any Error)?
    for route in routes {
      if let service = sockets.withLock({ $0[route.socketPath] }) {
        service.follow(route)
        continue
      }
      do {
        let service = try ServiceListener(
          route, directory: directory, listeners: listeners, group: group, queue: queue
        ) { [weak self] socket, service in self?.accepted(socket, service) }
        sockets.withLock { $0[route.socketPath] = service }
      } catch {
        logger.error(
          "no requests can be taken for \(route.title): \(error)",
          metadata: route.deployment.logFields)
        first = first ?? error
      }
    }
    if let first { throw first }
  }

  /// Takes requests for no other services any more.
  func close(allBut routes: [PublicRoute]) {
    let kept = Set(routes.map(\.socketPath))
    sockets.withLock { $0 = $0.filter { kept.contains($0.key) } }
  }

  /// Takes no requests any more: those that come wait for another relay, or for `open`.
  func leave() {
    let left = sockets.withLock { sockets in
      defer { sockets = [:] }
      return sockets.values
    }
    for service in left { service.leave() }
  }

  /// The instances of a deployment are others than before.
  func changed(_ deployment: DeploymentName) {
    for service in sockets.withLock({ $0.values }) where service.route.deployment == deployment {
      service.noteInstances()
    }
  }

  private func accepted(_ socket: consuming OwnedDescriptor, _ service: ServiceListener) {
    serving.wrappingAdd(1, ordering: .relaxed)
    PublicRequest(socket, service, relay: relay, fabrics: fabrics, dialing: dialing) { [self] in
      serving.wrappingSubtract(1, ordering: .relaxed)
    }.begin()
  }
}

/// A service that the front door serves.
struct PublicRoute: Hashable, Sendable {
  /// Where its requests come in.
  let socketPath: String
  /// What people are told it is called.
  let title: String
  let deployment: DeploymentName
  let service: ServiceNumber
  let port: PortNumber
}

/// How the fabrics' network namespaces are called.
struct FabricNames: Sendable {
  let prefix: String
  let plan: AddressPlan

  func fabric(of deployment: DeploymentName) -> FabricNamespace {
    FabricNamespace(of: deployment, prefix: prefix, plan: plan)
  }
}
