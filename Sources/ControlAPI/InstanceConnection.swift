import Foundation
import Glibc

/// A connection with an instance, over the daemon's socket for `istbpf connect`: a line that says with
/// which service, a line of answer, and from then on what the two programs say.
package enum InstanceConnection {
  /// The most octets that either line has, its end included.
  package static let lineLimit = 4096

  /// What is asked for: `shop/db 3211`, where 0 is the service's own port.
  package static func request(_ deployment: String, _ service: String, port: Int) -> String {
    "\(deployment)/\(service) \(port)\n"
  }

  /// The parts of such a line without its end; nil where it is none.
  package static func parse(_ line: String) -> (deployment: String, service: String, port: Int)? {
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

  /// Connects with an instance: a Unix socket, which the caller has to close, and the instance's name.
  ///
  /// Throws `ControlClient.Failure`.
  package static func open(
    _ socketPath: String, _ deployment: String, _ service: String, port: Int
  ) throws -> (socket: Int32, instance: String) {
    let socket = try ControlClient.dial(socketPath)
    do {
      let request = Array(Self.request(deployment, service, port: port).utf8)
      guard send(socket, request, request.count, Int32(MSG_NOSIGNAL)) == request.count,
        let answer = readLine(from: socket)
      else { throw ControlClient.Failure(description: "istbpfd has ended meanwhile") }
      if answer.hasPrefix(accepted) { return (socket, String(answer.dropFirst(accepted.count))) }
      throw ControlClient.Failure(
        description: answer.hasPrefix(refused) ? String(answer.dropFirst(refused.count)) : answer)
    } catch {
      close(socket)
      throw error
    }
  }

  /// The next line of a blocking socket, and nothing of what follows it; nil where it ends before.
  package static func readLine(from socket: Int32) -> String? {
    var line: [UInt8] = []
    var octet: UInt8 = 0
    while line.count < lineLimit {
      let count = recv(socket, &octet, 1, 0)
      if count < 0, errno == EINTR { continue }
      guard count == 1 else { return nil }
      if octet == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
      line.append(octet)
    }
    return nil
  }
}
