import Glibc
import LinuxSystem
import Model
import Synchronization
import SystemPackage

/// Listening sockets, by what they are for. istbpfd has a copy of each, so that they outlive this process: what
/// connects while there is no relay waits for the next one.
final class ListenerStore: Sendable {
  private struct State: ~Copyable {
    /// Those of an earlier relay that were not asked for yet.
    var kept: [String: Int32] = [:]
    /// Copies of those that are in use.
    var used: [String: Int32] = [:]
    var tell: (@Sendable (String, Int32) -> Void)?
  }

  private let state = Mutex(State())

  /// What the socket in a deployment's fabric is kept as.
  static func name(ofFabric deployment: DeploymentID, inode: UInt64) -> String {
    "fabric \(deployment) \(inode)"
  }

  /// Takes over a socket that was kept for an earlier relay.
  func keep(_ name: String, _ socket: consuming OwnedDescriptor) {
    let descriptor = socket.release()
    let old = state.withLock { $0.kept.updateValue(descriptor, forKey: name) }
    if let old { close(old) }
  }

  /// The socket that was kept as `name`, or that was in use as that until something went wrong, or else the one that
  /// `make` makes. Throws what `make` throws, or `SystemError`.
  func take(_ name: String, otherwise make: () throws -> OwnedDescriptor) throws -> OwnedDescriptor
  {
    let kept = state.withLock { state -> Int32? in
      if let kept = state.kept.removeValue(forKey: name) { return kept }
      let copy = state.used[name].map { fcntl($0, F_DUPFD_CLOEXEC, 0) }
      return copy.flatMap { $0 >= 0 ? $0 : nil }
    }
    let socket = try kept.map { OwnedDescriptor(owning: $0) } ?? make()
    let copy = fcntl(socket.rawValue, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw SystemError(.last, "copy", "a listening socket") }
    let (old, tell) = state.withLock { state in
      (state.used.updateValue(copy, forKey: name), state.tell)
    }
    if let old { close(old) }
    tell?(name, copy)
    return socket
  }

  /// Closes the socket that was kept as `name`, if there is one.
  func discard(_ name: String) {
    let kept = state.withLock { $0.kept.removeValue(forKey: name) }
    if let kept { close(kept) }
  }

  /// Nobody listens as `name` any more.
  func forget(_ name: String) {
    let copy = state.withLock { $0.used.removeValue(forKey: name) }
    if let copy { close(copy) }
  }

  /// Closes all that are here.
  func closeAll() {
    let sockets = state.withLock { state in
      defer { (state.kept, state.used) = ([:], [:]) }
      return Array(state.kept.values) + Array(state.used.values)
    }
    for socket in sockets { close(socket) }
  }

  /// Has `tell` told of all sockets that are in use, and of each that comes; of none any more where it is nil.
  func tell(_ tell: (@Sendable (String, Int32) -> Void)?) {
    state.withLock { state in
      state.tell = tell
      for (name, socket) in state.used { tell?(name, socket) }
    }
  }

  /// Lets those go that nobody asked for.
  func closeUnused() {
    let left = state.withLock { state in
      defer { state.kept = [:] }
      return state.kept.values
    }
    for socket in left { close(socket) }
  }
}
