import CLinux
import Foundation
import Glibc

/// How `istbpf connect` gets a connection with an instance from the daemon, over a Unix socket: it writes a line
/// that says with which service, and reads a line of answer, which comes with the connected TCP socket
/// (SCM_RIGHTS).
package enum InstanceConnection {
  /// The most octets that either line has, its end included.
  package static let lineLimit = 4096

  /// What is asked for: `shop/db 3211`, where 0 is the service's own port.
  package static func request(_ deployment: String, _ service: String, port: Int) -> String {
    "\(deployment)/\(service) \(port)\n"
  }

  /// The parts of such a line without its end; nil where it is none.
  private static func parse(_ line: String) -> (deployment: String, service: String, port: Int)? {
    guard let slash = line.firstIndex(of: "/"), let space = line.lastIndex(of: " "), slash < space,
      let port = Int(line[line.index(after: space)...])
    else { return nil }
    return (
      String(line[..<slash]), String(line[line.index(after: slash)..<space]), port
    )
  }

  /// What an answer that is none of an error begins with; the instance follows.
  package static let accepted = "connected "
  /// What an answer begins with that says why there is no connection.
  package static let refused = "error "

  /// Connects with an instance: a blocking TCP socket, which the caller has to close, and the instance's name.
  ///
  /// Throws `ControlClient.Failure`.
  package static func open(
    _ socketPath: String, _ deployment: String, _ service: String, port: Int
  ) throws -> (socket: Int32, instance: String) {
    let daemon = try ControlClient.dial(socketPath)
    defer { close(daemon) }
    let request = Array(Self.request(deployment, service, port: port).utf8)
    guard send(daemon, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
      throw ControlClient.Failure(description: "istbpfd has ended meanwhile")
    }
    let (answer, socket) = receive(from: daemon)
    if let socket {
      if answer.hasPrefix(accepted) { return (socket, String(answer.dropFirst(accepted.count))) }
      close(socket)
    }
    throw ControlClient.Failure(
      description: answer.hasPrefix(refused)
        ? String(answer.dropFirst(refused.count)) : "istbpfd has ended meanwhile")
  }

  /// What the daemon says until it closes, without the end of the line, and the descriptor that came with it.
  private static func receive(from daemon: Int32) -> (answer: String, socket: Int32?) {
    var answer: [UInt8] = []
    var socket: Int32?
    var buffer = [UInt8](repeating: 0, count: lineLimit)
    while answer.count < lineLimit {
      var descriptor: Int32 = -1
      let count = linux_unix_receive_descriptor(daemon, &buffer, buffer.count, &descriptor)
      if count < 0, errno == EINTR { continue }
      if descriptor >= 0 {
        if let earlier = socket { close(earlier) }
        socket = descriptor
      }
      guard count > 0 else { break }
      answer += buffer[..<count]
    }
    if answer.last == UInt8(ascii: "\n") { answer.removeLast() }
    return (String(decoding: answer, as: UTF8.self), socket)
  }

  /// The request of a caller, which has until `deadline` to say all of it; nil where it does not, or it is none.
  package static func readRequest(
    from socket: Int32, until deadline: ContinuousClock.Instant
  ) -> (deployment: String, service: String, port: Int)? {
    var line: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: lineLimit)
    while line.count < lineLimit {
      let left = deadline - .now
      let milliseconds =
        left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000
      var state = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      // What has come by then counts, also where nobody looked before.
      guard poll(&state, 1, Int32(max(0, milliseconds))) != 0 else { return nil }
      let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count < 0, errno == EINTR || errno == EAGAIN { continue }
      guard count > 0 else { return nil }
      line += buffer[..<count]
      if let end = line.firstIndex(of: UInt8(ascii: "\n")) {
        return parse(String(decoding: line[..<end], as: UTF8.self))
      }
    }
    return nil
  }
}
