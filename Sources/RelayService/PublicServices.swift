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
    FabricNamespace(name: prefix + deployment.rawValue, plan: plan)
  }
}

/// The Unix socket of one service, and where its requests go.
final class ServiceListener: Sendable {
  private struct State {
    var route: PublicRoute
    var hasInstances = false
    /// When it last had an instance, or when it was declared or this process began.
    var lastInstance = ContinuousClock.now
    var waiting = 0
    /// Whether its socket is another relay's.
    var isAnothers = false
  }

  private let state: Mutex<State>
  private let path: String
  private let directory: InstanceDirectory
  private let listeners: ListenerStore
  /// Unsafe only in name: Dispatch lets any thread cancel a source.
  private nonisolated(unsafe) let source: any DispatchSourceRead

  /// How long after its last instance a service may be one that is being started again.
  private static let restart = Duration.seconds(30)
  /// Requests of one service that may wait at once for an instance.
  private static let waitingLimit = 256

  init(
    _ route: PublicRoute, directory: InstanceDirectory, listeners: ListenerStore, group: gid_t,
    queue: DispatchQueue,
    accepted: @escaping @Sendable (consuming OwnedDescriptor, ServiceListener) -> Void
  ) throws {
    state = Mutex(State(route: route))
    path = route.socketPath
    (self.directory, self.listeners) = (directory, listeners)
    // A socket that nothing leads to any more is of no use.
    if !SmallFile.exists(path) { listeners.discard(Self.listenerName(path)) }
    let listener = try listeners.take(Self.listenerName(path)) {
      try UnixSocket.listening(at: route.socketPath, mode: 0o660, group: group)
    }.release()
    source = DispatchSource.makeReadSource(fileDescriptor: listener, queue: queue)
    source.setEventHandler { [weak self] in
      while let socket = UnixSocket.accept(on: listener) {
        if let self { accepted(socket, self) }
      }
    }
    source.setCancelHandler { Glibc.close(listener) }
    source.activate()
  }

  deinit {
    source.cancel()
    guard !state.withLock(\.isAnothers) else { return }
    unlink(path)
    listeners.forget(Self.listenerName(path))
  }

  /// Takes no requests any more; its socket is another relay's.
  func leave() {
    state.withLock { $0.isAnothers = true }
    source.cancel()
  }

  private static func listenerName(_ path: String) -> String { "service \(path)" }

  /// Where requests go now.
  var route: PublicRoute { state.withLock { $0.route } }

  /// The instances that requests may go to, in the order in which to try them.
  var destinations: [InstanceDirectory.Destination] {
    let route = route
    return directory.destinations(to: route.service, of: route.deployment)
  }

  /// Has requests go where `route` says from now on.
  func follow(_ route: PublicRoute) {
    state.withLock { $0.route = route }
    noteInstances()
  }

  /// Notes whether there are instances.
  func noteInstances() {
    let hasInstances = !destinations.isEmpty
    state.withLock { state in
      if state.hasInstances || hasInstances { state.lastInstance = .now }
      state.hasInstances = hasInstances
    }
  }

  /// Whether it is worth waiting for an instance to come, or for one to listen. Then `endWait` is to be
  /// called.
  func beginWait() -> Bool {
    let hasInstances = !destinations.isEmpty
    return state.withLock { state in
      guard state.waiting < Self.waitingLimit,
        hasInstances || .now - state.lastInstance < Self.restart
      else { return false }
      state.waiting += 1
      return true
    }
  }

  func endWait() { state.withLock { $0.waiting -= 1 } }
}
