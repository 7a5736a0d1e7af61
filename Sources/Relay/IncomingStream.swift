import LinuxSystem
import Model
import Synchronization
import Tunnel

/// A connection that another runner asks for.
public struct IncomingStream: Hashable, Sendable {
  /// The runner that asks, proved by its certificate. That it may speak for the source instance is
  /// for the authorizer to find out.
  public let runner: RunnerIdentifier
  /// What it asks for.
  public let request: StreamRequest
}

/// What becomes of an incoming stream.
public enum StreamDecision: Sendable {
  /// connect() on the other runner fails with this errno.
  case refuse(Int32)
  /// This runner connects, and the outcome is the answer.
  case dial(DialInstruction)
  /// The stream goes to this socket: TCP, connected, and of this process.
  case join(DescriptorHandoff)
}

/// A socket to connect, and to what.
public final class DialInstruction: Sendable {
  /// Makes another socket and gives it away, from any thread; nil where there is none. It must not block.
  package typealias Another =
    @Sendable (_ give: @escaping @Sendable (DescriptorHandoff?) -> Void) -> Void

  private let socket: Mutex<OwnedDescriptor?>
  private let another: Another
  /// Where to connect to.
  public let destination: IPv4Address
  /// The port to connect to.
  public let port: PortNumber

  /// Takes over `socket`: TCP, non-blocking, not connected, made in the fabric's namespace and bound
  /// to the calling instance's address (IP_TRANSPARENT). `another` makes one of which the kernel chooses the
  /// port, for when there is a connection of just these ports still.
  package init(
    socket: consuming OwnedDescriptor, destination: IPv4Address, port: PortNumber,
    another: @escaping Another = { $0(nil) }
  ) {
    self.socket = Mutex(socket)
    self.another = another
    (self.destination, self.port) = (destination, port)
  }

  /// The socket, the first time.
  func takeSocket() -> OwnedDescriptor? { socket.withLock { $0.take() } }

  /// Asks for another socket, from any port.
  func requestAnother(_ give: @escaping @Sendable (DescriptorHandoff?) -> Void) {
    another(give)
  }
}

/// Decides about incoming streams.
///
/// It is called on an event loop's thread, and must not block it: where it cannot answer from memory,
/// it returns and calls `reply` later, from any thread, once. No reply within the answer timeout is
/// ETIMEDOUT.
public typealias StreamAuthorizer =
  @Sendable (_ stream: IncomingStream, _ reply: @escaping @Sendable (StreamDecision) -> Void) ->
  Void
