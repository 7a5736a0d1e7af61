import Dispatch
import Fabric
import Glibc
import LinuxSystem
import Synchronization

/// Sockets made in advance inside a fabric: a thread has to enter its namespace to make one, which
/// takes longer than all else that a connect from another runner needs here.
final class SpareSockets: Sendable {
  private static let batch = 32
  private static let queue = DispatchQueue(label: "istbpf.sockets")

  private let fabric: FabricNamespace
  private let state = Mutex(State())

  private struct State {
    var sockets: [Int32] = []
    var isFilling = false
  }

  init(of fabric: FabricNamespace) { self.fabric = fabric }

  deinit { state.withLock { for socket in $0.sockets { close(socket) } } }

  /// One, if there is one; when few are left more are made.
  func take() -> OwnedDescriptor? {
    let (socket, isLow) = state.withLock { state in
      let socket = state.sockets.popLast()
      let isLow = state.sockets.count < Self.batch / 2 && !state.isFilling
      state.isFilling = state.isFilling || isLow
      return (socket, isLow)
    }
    // What goes wrong is told when a socket is needed and there is none.
    if isLow { Self.queue.async { [weak self] in try? self?.fill() } }
    return socket.map { OwnedDescriptor(owning: $0) }
  }

  /// Makes some; throws `SystemError`.
  func fill() throws {
    defer { state.withLock { $0.isFilling = false } }
    let made = try TransparentSocket.make(Self.batch, in: fabric)
    state.withLock { $0.sockets += made }
  }
}
