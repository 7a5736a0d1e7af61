import Dispatch
import Fabric
import FrontDoor
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import Synchronization
import Tunnel

/// Where the front door's requests come in: a Unix socket for each public service, whose connections
/// go to the service's port on one of its instances, with the fabric's gateway as their source.
///
/// An instance that does not take a connection is passed over for the next, since nothing of the
/// request has been sent yet: so one that is starting, or has just ended, costs no request.
final class PublicServices: Sendable {
  private let relay: Relay
  private let configuration: RunnerConfiguration
  private let group: gid_t
  private let logger: Logger
  private let queue = DispatchQueue(label: "istbpf.front-door")
  private let dialing = DispatchQueue(label: "istbpf.front-door.dial", attributes: .concurrent)
  private let doors = Mutex<[String: Door]>([:])

  /// Instances that are tried for one request.
  private static let attempts = 4
  /// How long one instance may take to accept.
  private static let patience = Duration.seconds(3)

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
        door.route.withLock { $0 = route }
        continue
      }
      do {
        let door = try Door(route, group: group, queue: queue) { [weak self] socket, route in
          self?.accepted(socket, route)
        }
        doors.withLock { $0[route.socketPath] = door }
      } catch {
        logger.error("no requests can be taken for \(route.service.id): \(error)")
      }
    }
  }

  /// Takes requests for no other services any more.
  func close(allBut routes: [PublicRoute]) {
    let kept = Set(routes.map(\.socketPath))
    doors.withLock { $0 = $0.filter { kept.contains($0.key) } }
  }

  private func accepted(_ socket: consuming OwnedDescriptor, _ route: PublicRoute) {
    let attempts = route.attempts.prefix(Self.attempts)
    guard !attempts.isEmpty else { return relay.close(socket, saying: Answer.noInstance) }
    attempt(attempts, route, DescriptorHandoff(socket))
  }

  private func attempt(
    _ ways: ArraySlice<PublicRoute.Way>, _ route: PublicRoute, _ handoff: DescriptorHandoff
  ) {
    guard let way = ways.first else {
      if let socket = handoff.take() { relay.close(socket, saying: Answer.nobodyListens) }
      return
    }
    switch way {
    case .here(let address): dialing.async { [self] in dial(address, ways, route, handoff) }
    case .there(let address, let peer):
      let request = StreamRequest(
        deployment: route.service.deployment, source: configuration.plan.gateway,
        destination: address, port: route.service.port)
      relay.open(request, to: peer, timeout: Self.patience) { [self] result in
        guard case .success(let stream) = result else {
          return attempt(ways.dropFirst(), route, handoff)
        }
        if let socket = handoff.take() { relay.join(socket, to: stream) }
      }
    }
  }

  private func dial(
    _ address: IPv4Address, _ ways: ArraySlice<PublicRoute.Way>, _ route: PublicRoute,
    _ handoff: DescriptorHandoff
  ) {
    let fabric = FabricNamespace(
      name: configuration.installation.fabricPrefix + route.service.deployment.rawValue,
      plan: configuration.plan)
    guard
      // Where there is no socket, as without a fabric, the next instance is tried, and then the answer says so.
      let dialing = try? TransparentSocket.dialing(in: fabric, as: configuration.plan.gateway)
    else { return attempt(ways.dropFirst(), route, handoff) }
    guard let socket = handoff.take() else { return }
    relay.pair(
      socket,
      with: DialInstruction(socket: dialing, destination: address, port: route.service.port),
      timeout: Self.patience
    ) { [self] socket, _ in attempt(ways.dropFirst(), route, DescriptorHandoff(socket)) }
  }

  /// What HAProxy passes on where no connection comes about: a connection that is only closed it would
  /// answer with 502 to HTTP/1, and with REFUSED_STREAM, an invitation to try again, to HTTP/2.
  private enum Answer {
    static let nobodyListens = text("502 Bad Gateway", "Nobody serves the port of this service.\n")
    static let noInstance = text("503 Service Unavailable", "This service has no instance.\n")

    private static func text(_ status: String, _ body: String) -> [UInt8] {
      Array(
        ("HTTP/1.1 \(status)\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n"
          + "Cache-Control: no-store\r\nConnection: close\r\n\r\n\(body)").utf8)
    }
  }
}

/// The Unix socket of one service.
private final class Door: Sendable {
  let route: Mutex<PublicRoute>
  private let path: String
  /// Unsafe only in name: Dispatch lets any thread cancel a source.
  private nonisolated(unsafe) let source: any DispatchSourceRead

  init(
    _ route: PublicRoute, group: gid_t, queue: DispatchQueue,
    accepted: @escaping @Sendable (consuming OwnedDescriptor, PublicRoute) -> Void
  ) throws {
    self.route = Mutex(route)
    path = route.socketPath
    let listener = try UnixSocket.listening(at: path, mode: 0o660, group: group).release()
    source = DispatchSource.makeReadSource(fileDescriptor: listener, queue: queue)
    source.setEventHandler { [weak self] in
      while let socket = UnixSocket.accept(on: listener) {
        if let self { accepted(socket, self.route.withLock { $0 }) }
      }
    }
    source.setCancelHandler { Glibc.close(listener) }
    source.activate()
  }

  deinit {
    source.cancel()
    unlink(path)
  }
}
