import Dispatch
import Glibc
import LinuxSystem
import Model
import RelayControl
import Synchronization

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
