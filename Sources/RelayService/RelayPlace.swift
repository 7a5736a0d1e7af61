import Dispatch
import Foundation
import Glibc
import LinuxSystem
import Logging
import Model
import RelayControl
import Synchronization

/// The place of an installation's relay, which one process has at a time: a lock, and the socket on which istbpfd finds it.
final class RelayPlace: Sendable {
  private struct State: ~Copyable {
    var lock: LockFile?
    /// By which those who look see that this process carries something still.
    var leaving: LockFile?
    var socket: ControlSocket?
    var serve: (@Sendable (DescriptorChannel) -> Void)?
  }

  private let installation: Installation
  private let logger: Logger
  private let state = Mutex(State())

  init(of installation: Installation, logger: Logger) {
    (self.installation, self.logger) = (installation, logger)
  }

  /// Takes the lock. Throws `SystemError`, or `LockFile.Held` where another process has the place.
  func lock() throws {
    try state.withLock { $0.lock = try LockFile(path: installation.relayLockPath) }
  }

  /// Has `serve` called, on threads of their own, with whoever opens the socket, from now on. Throws `SystemError`.
  func listen(_ serve: @escaping @Sendable (DescriptorChannel) -> Void) throws {
    try state.withLock { state in
      state.serve = serve
      state.socket = try ControlSocket(at: installation.relaySocketPath, serve, logger)
    }
  }

  /// Is found by no istbpfd any more, but nobody else can have the place.
  func stopListening() {
    state.withLock { state in
      state.socket?.stop()
      state.socket = nil
    }
  }

  /// Leaves it to another process. Connections with istbpfd go on.
  func leave() {
    state.withLock { state in
      state.socket?.stop()
      state.socket = nil
      do { state.leaving = try LockFile(path: RelayInstance.leavingPath(installation)) } catch {
        logger.warning("istbpf status will not show this istbpf-relay: \(error)")
      }
      state.lock = nil
    }
  }

  /// Has nothing to do with it any more.
  func end() {
    state.withLock { state in
      state.socket?.stop()
      state.socket = nil
      state.lock = nil
      Self.clear(&state.leaving, installation)
    }
  }

  private static func clear(_ leaving: inout LockFile?, _ installation: Installation) {
    guard leaving != nil else { return }
    unlink(RelayInstance.leavingPath(installation))
    leaving = nil
  }

  /// Takes it again after `leave`, within so many milliseconds. Throws `SystemError`, or `LockFile.Held` where another
  /// process has it.
  func takeAgain(within milliseconds: Int) throws {
    let until = ContinuousClock.now + .milliseconds(milliseconds)
    while true {
      do {
        try lock()
        break
      } catch let error as LockFile.Held {
        guard ContinuousClock.now < until else { throw error }
        usleep(10_000)
      }
    }
    state.withLock { Self.clear(&$0.leaving, installation) }
    guard let serve = state.withLock({ $0.serve }) else { return }
    do { try listen(serve) } catch {
      leave()
      throw error
    }
  }

  /// Whether the installation is there, which knows this process by the socket, or did so before.
  var isThere: Bool {
    state.withLock { $0.socket?.isThere } ?? SmallFile.exists(installation.relayDirectory)
  }
}

/// A Unix socket that only root may open.
private final class ControlSocket: Sendable {
  private let path: String
  private let inode: UInt64
  private let queue = DispatchQueue(label: "istbpf.relay.control")
  /// Unsafe only in name: Dispatch lets any thread cancel a source.
  private nonisolated(unsafe) let source: any DispatchSourceRead

  init(
    at path: String, _ serve: @escaping @Sendable (DescriptorChannel) -> Void, _ logger: Logger
  ) throws {
    self.path = path
    let listener = try UnixSocket.listening(at: path, mode: 0o600, group: 0).release()
    inode = Self.inode(of: path) ?? 0
    source = DispatchSource.makeReadSource(fileDescriptor: listener, queue: queue)
    source.setEventHandler {
      while let socket = UnixSocket.accept(on: listener) {
        do {
          let channel = try DescriptorChannel(socket)
          guard let peer = channel.peer, peer.user == 0 else {
            logger.warning("somebody but root has opened \(path)")
            continue
          }
          Thread.detachNewThread { serve(channel) }
        } catch { logger.error("\(error)") }
      }
    }
    source.setCancelHandler { close(listener) }
    source.activate()
  }

  /// Whether the path leads to it still.
  var isThere: Bool { Self.inode(of: path) == inode }

  func stop() {
    source.cancel()
    if isThere { unlink(path) }
  }

  private static func inode(of path: String) -> UInt64? {
    var status = stat()
    return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
  }
}
