import Dispatch
import FrontDoor
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import Synchronization

/// Where the front door's requests come in: a Unix socket for each public service, whose connections
/// go to the service's port on one of its instances, with the fabric's gateway as their source.
final class PublicServices: Sendable {
  private let relay: Relay
  private let configuration: RunnerConfiguration
  private let group: gid_t
  private let logger: Logger
  private let queue = DispatchQueue(label: "istbpf.front-door")
  private let dialing = DispatchQueue(label: "istbpf.front-door.dial", attributes: .concurrent)
  private let doors = Mutex<[String: PublicDoor]>([:])

  /// Takes requests in the directory `paths.services`, from HAProxy's user alone. Throws `SystemError`,
  /// or `InvalidConfiguration` where there is no such user.
  init(
    relay: Relay, configuration: RunnerConfiguration, paths: FrontDoorPaths, logger: Logger
  ) throws {
    (self.relay, self.configuration, self.logger) = (relay, configuration, logger)
    do {
      group = try Credentials(lookingUp: FrontDoorSettings.user).gid
    } catch {
      throw InvalidConfiguration(
        key: "frontDoor", problem: "needs HAProxy: \(error); is Debian's haproxy installed?")
    }
    for (path, mode) in [(paths.directory, mode_t(0o755)), (paths.services, 0o750)] {
      guard mkdir(path, mode) == 0 || errno == EEXIST, chown(path, 0, group) == 0,
        chmod(path, mode) == 0
      else { throw SystemError(.last, "make directory", path) }
    }
  }

  /// Takes requests for these services too; those of others are still taken.
  func open(_ routes: [PublicRoute]) {
    for route in routes {
      if let door = doors.withLock({ $0[route.socketPath] }) {
        door.follow(route)
        continue
      }
      do {
        let door = try PublicDoor(route, group: group, queue: queue) { [weak self] socket, door in
          self?.accepted(socket, door)
        }
        doors.withLock { $0[route.socketPath] = door }
      } catch {
        logger.error(
          "no requests can be taken for \(route.service.id): \(error)",
          metadata: route.service.logFields)
      }
    }
  }

  /// Takes requests for no other services any more.
  func close(allBut routes: [PublicRoute]) {
    let kept = Set(routes.map(\.socketPath))
    doors.withLock { $0 = $0.filter { kept.contains($0.key) } }
  }

  private func accepted(_ socket: consuming OwnedDescriptor, _ door: PublicDoor) {
    PublicRequest(
      socket, door, relay: relay, configuration: configuration, dialing: dialing
    ).begin()
  }
}

/// The Unix socket of one service, and where its requests go.
final class PublicDoor: Sendable {
  private struct State {
    var route: PublicRoute
    /// When it last had an instance, or when it was declared or this daemon began.
    var lastInstance = ContinuousClock.now
    var waiting = 0
  }

  private let state: Mutex<State>
  private let path: String
  /// Unsafe only in name: Dispatch lets any thread cancel a source.
  private nonisolated(unsafe) let source: any DispatchSourceRead

  /// How long after its last instance a service may be one that is being started again.
  private static let restart = Duration.seconds(30)
  /// Requests of one service that may wait at once for an instance.
  private static let waitingLimit = 256

  init(
    _ route: PublicRoute, group: gid_t, queue: DispatchQueue,
    accepted: @escaping @Sendable (consuming OwnedDescriptor, PublicDoor) -> Void
  ) throws {
    state = Mutex(State(route: route))
    path = route.socketPath
    let listener = try UnixSocket.listening(at: path, mode: 0o660, group: group).release()
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
    unlink(path)
  }

  /// Where requests go now.
  var route: PublicRoute { state.withLock { $0.route } }

  /// Has requests go where `route` says from now on.
  func follow(_ route: PublicRoute) {
    state.withLock { state in
      if !(state.route.ways.isEmpty && route.ways.isEmpty) { state.lastInstance = .now }
      state.route = route
    }
  }

  /// Whether it is worth waiting for an instance to come, or for one to listen. Then `endWait` is to be
  /// called.
  func beginWait() -> Bool {
    state.withLock { state in
      guard state.waiting < Self.waitingLimit,
        !state.route.ways.isEmpty || .now - state.lastInstance < Self.restart
      else { return false }
      state.waiting += 1
      return true
    }
  }

  func endWait() { state.withLock { $0.waiting -= 1 } }
}
