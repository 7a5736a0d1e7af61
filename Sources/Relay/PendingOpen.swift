import Tunnel

/// A stream that has been asked for and not been answered.
final class PendingOpen {
  /// What it is for.
  enum Purpose {
    /// A new connection, and who waits for it.
    case open(StreamRequest, @Sendable (Result<RelayStream, StreamRefusal>) -> Void)
    /// A stream of which one direction moves to another tunnel.
    case move(Stream, StreamDirection)
  }

  let purpose: Purpose
  let peer: TunnelPeer
  var deadline: Deadline?
  /// The tunnel on which it waits for the answer.
  weak var tunnel: TunnelConnection?
  /// Whether that tunnel carried another stream before, so that it may be stale.
  var isReuse = false
  /// Whether a tunnel that was made for it has failed already.
  var hasFailedOnce = false
  private(set) var isOver = false

  init(_ purpose: Purpose, to peer: TunnelPeer) { (self.purpose, self.peer) = (purpose, peer) }

  var preface: StreamPreface {
    switch purpose {
    case .open(let request, _): .open(request)
    case .move(let stream, let direction): .resume(stream.token, sending: direction == .receiving)
    }
  }

  /// Ends it without a stream, once.
  func fail(_ errno: Int32, _ cause: String, in loop: EventLoop) {
    guard end(in: loop) else { return }
    switch purpose {
    case .open(_, let completion):
      loop.counters.streamsRefused.add(1)
      completion(.failure(StreamRefusal(errno: errno, cause: cause)))
    case .move(let stream, let direction): stream.moveFailed(direction, errno)
    }
  }

  /// Whether it was not over yet; it is now.
  func end(in loop: EventLoop) -> Bool {
    guard !isOver else { return false }
    isOver = true
    loop.cancel(deadline)
    deadline = nil
    if case .open = purpose { loop.asked.wrappingSubtract(1, ordering: .relaxed) }
    return true
  }
}
