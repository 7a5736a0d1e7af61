import Foundation
import Glibc
import Synchronization

/// Why not everything arrived.
struct CopyFailure: Error, CustomStringConvertible {
  let description: String
  fileprivate let code: Int32

  init(_ operation: String) {
    code = errno
    description = "cannot \(operation): \(String(cString: strerror(code)))"
  }
}

/// Writes to `output` what `input` gives, until its end. Throws `CopyFailure`.
private func copyBytes(from input: Int32, to output: Int32) throws(CopyFailure) {
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = read(input, &buffer, buffer.count)
    if count < 0, errno == EINTR { continue }
    guard count >= 0 else { throw CopyFailure("read") }
    if count == 0 { return }
    var start = 0
    while start < count {
      let written = buffer[start..<count].withUnsafeBytes {
        write(output, $0.baseAddress, $0.count)
      }
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw CopyFailure("write") }
      start += written
    }
  }
}

/// Closes a TCP socket so that its peer gets an RST.
func closeWithReset(_ socket: Int32) {
  var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
  close(socket)
}

/// Standard input and output of this process, joined to a socket.
enum StandardStreams {
  /// Returns when the peer of `socket` has ended its side, and all that it said has been written. Throws
  /// `CopyFailure`, also where the peer has reset the connection. Where nobody reads standard output any more, as behind
  /// `| head`, the process ends as others do then.
  static func join(with socket: Int32) throws(CopyFailure) {
    Thread.detachNewThread {
      // Where the peer wants to hear no more, it may still have something to say.
      do { try copyBytes(from: STDIN_FILENO, to: socket) } catch {}
      shutdown(socket, Int32(SHUT_WR))
    }
    do { try copyBytes(from: socket, to: STDOUT_FILENO) } catch {
      guard error.code == EPIPE else { throw error }
      signal(SIGPIPE, SIG_DFL)
      var signals = sigset_t()
      sigaddset(&signals, SIGPIPE)
      pthread_sigmask(SIG_UNBLOCK, &signals, nil)
      raise(SIGPIPE)
    }
  }
}

/// Two connected TCP sockets, each of which gets what the other gives: bytes, ends and resets.
final class ForwardedConnection: Sendable {
  private let isBroken = Atomic(false)

  /// Copies until both have ended, or one is broken, and closes both.
  static func forward(_ left: Int32, _ right: Int32) {
    let connection = ForwardedConnection()
    let isOver = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      connection.pass(left, right)
      isOver.signal()
    }
    connection.pass(right, left)
    isOver.wait()
    for socket in [left, right] {
      if connection.isBroken.load(ordering: .relaxed) {
        closeWithReset(socket)
      } else {
        close(socket)
      }
    }
  }

  /// Copies one way. Where one of the two is broken, the other way ends too, and neither socket says that it has
  /// ended in order.
  private func pass(_ from: Int32, _ to: Int32) {
    do {
      try copyBytes(from: from, to: to)
      if !isBroken.load(ordering: .relaxed) { shutdown(to, Int32(SHUT_WR)) }
    } catch {
      isBroken.store(true, ordering: .relaxed)
      // Wakes who waits to read, and sends nothing.
      for socket in [from, to] { shutdown(socket, Int32(SHUT_RD)) }
    }
  }
}
