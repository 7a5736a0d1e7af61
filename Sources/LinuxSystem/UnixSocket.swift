import CLinux
import Glibc
import SystemPackage

/// Unix stream sockets that have a path.
public enum UnixSocket {
  /// A socket that listens at `path`, non-blocking, with this mode and group, in the place of whatever
  /// is there: a client finds either the old one or this, and never one that it may not use. Throws
  /// `SystemError`.
  public static func listening(at path: String, mode: mode_t, group: gid_t) throws
    -> OwnedDescriptor
  {
    let new = path + ".new"
    unlink(new)
    let descriptor = linux_unix_listen(new)
    guard descriptor >= 0 else { throw SystemError(.last, "listen at", path) }
    let socket = OwnedDescriptor(owning: descriptor)
    guard chown(new, 0, group) == 0, chmod(new, mode) == 0, rename(new, path) == 0 else {
      throw SystemError(.last, "listen at", path)
    }
    return socket
  }

  /// The next connection that waits at `listener`, non-blocking; nil where there is none.
  public static func accept(on listener: Int32) -> OwnedDescriptor? {
    let socket = linux_accept(listener, nil, nil)
    return socket >= 0 ? OwnedDescriptor(owning: socket) : nil
  }

  /// The process at the other end of a socket as it connected; nil where that cannot be told.
  public static func peer(of socket: Int32) -> pid_t? {
    let process = linux_unix_peer(socket)
    return process > 0 ? process : nil
  }

  /// A connection to the listener at `path`, on which a call may take 5 s; nil where nobody listens.
  public static func connected(to path: String) -> OwnedDescriptor? {
    let descriptor = linux_unix_connect(path, 5)
    return descriptor >= 0 ? OwnedDescriptor(owning: descriptor) : nil
  }

  /// The process that listens at `path`; nil where nobody does.
  public static func listener(at path: String) -> pid_t? {
    guard let socket = connected(to: path) else { return nil }
    let process = linux_unix_peer(socket.rawValue)
    return process > 0 ? process : nil
  }

  /// Sends `text` to the listener at `path`, then the end, and returns what it answers until its own
  /// end. Throws `SystemError`, EAGAIN where it says nothing for 5 s.
  public static func ask(_ text: String, at path: String) throws -> String {
    let descriptor = linux_unix_connect(path, 5)
    guard descriptor >= 0 else { throw SystemError(.last, "connect to", path) }
    let socket = OwnedDescriptor(owning: descriptor)
    let bytes = Array(text.utf8)
    guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
      throw SystemError(.last, "write to", path)
    }
    shutdown(socket.rawValue, Int32(SHUT_WR))
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = read(socket.rawValue, &buffer, buffer.count)
      guard count >= 0 else { throw SystemError(.last, "read from", path) }
      if count == 0 { return String(decoding: answer, as: UTF8.self) }
      answer.append(contentsOf: buffer[..<count])
    }
  }
}
