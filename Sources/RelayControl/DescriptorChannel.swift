import CLinux
import Glibc
import LinuxSystem
import Relay
import SwiftProtobuf
import Synchronization
import SystemPackage

/// Messages on a Unix stream socket, each behind its length, and each with at most one descriptor.
///
/// Any thread may send; one thread receives. Both block.
package final class DescriptorChannel: Sendable {
  private let socket: OwnedDescriptor
  private let sending = Mutex(())

  /// The longest message, in bytes.
  package static let maximum = 64 << 20
  /// How long the other end may take nothing, in seconds, until sending fails.
  private static let patience = 10

  /// A message, and the descriptor that came with it.
  package struct Received<Content: Message>: Sendable {
    package let message: Content
    package let descriptor: DescriptorHandoff?
  }

  /// Takes over `socket`, which is connected. Throws `SystemError`.
  package init(_ socket: consuming OwnedDescriptor) throws {
    let descriptor = socket.rawValue
    self.socket = socket
    let flags = fcntl(descriptor, F_GETFL)
    var (never, limit) = (timeval(), timeval(tv_sec: Self.patience, tv_usec: 0))
    let size = socklen_t(MemoryLayout<timeval>.size)
    guard flags >= 0, fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) == 0,
      setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &never, size) == 0,
      setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size) == 0
    else { throw SystemError(.last, "prepare", "a socket of istbpf-relay") }
  }

  /// The user and the process at the other end, as it connected; nil where that cannot be told.
  package var peer: (user: uid_t, process: pid_t)? {
    var (process, user) = (pid_t(0), uid_t(0))
    guard linux_unix_peer_credentials(socket.rawValue, &process, &user) == 0 else { return nil }
    return (user, process)
  }

  /// Sends a message, and a copy of `descriptor`, which stays the caller's. Throws `SystemError`: then the channel is
  /// of no use any more.
  package func send(_ message: some Message, with descriptor: Int32? = nil) throws {
    let bytes: [UInt8]
    do { bytes = try message.serializedBytes() } catch {
      throw SystemError(.invalidArgument, "send", "a message that cannot be encoded")
    }
    guard bytes.count <= Self.maximum else {
      throw SystemError(.messageTooLong, "send", "a message of \(bytes.count) bytes")
    }
    let length = withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { Array($0) }
    try sending.withLock { _ in
      if let descriptor {
        let sent = linux_unix_send_descriptor(socket.rawValue, length, length.count, descriptor)
        guard sent == length.count else { throw SystemError(.last, "send", "a descriptor") }
        try write(bytes)
      } else {
        try write(length + bytes)
      }
    }
  }

  private func write(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let sent = rest.withUnsafeBytes {
        Glibc.send(socket.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if sent < 0, errno == EINTR { continue }
      guard sent > 0 else { throw SystemError(.last, "send", "a message") }
      rest = rest.dropFirst(sent)
    }
  }

  /// The next message; nil where the other end has closed the channel. Throws `SystemError` where it breaks off, or says
  /// what is no message.
  package func receive<Content: Message>(_ type: Content.Type) throws -> Received<Content>? {
    var header = [UInt8](repeating: 0, count: 4)
    var (count, descriptor) = (0, DescriptorHandoff?.none)
    while count < header.count {
      var received: Int32 = -1
      let read = header.withUnsafeMutableBytes { bytes in
        linux_unix_receive_descriptor(
          socket.rawValue, bytes.baseAddress.map { $0 + count }, bytes.count - count, &received)
      }
      if received >= 0 { descriptor = DescriptorHandoff(OwnedDescriptor(owning: received)) }
      if read < 0, errno == EINTR { continue }
      if read == 0, count == 0 { return nil }
      guard read > 0 else { throw broken(read) }
      count += read
    }
    let length = Int(header.reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    guard length <= Self.maximum else {
      throw SystemError(.messageTooLong, "receive", "a message of \(length) bytes")
    }
    let bytes = try read(length)
    do {
      return Received(message: try Content(serializedBytes: bytes), descriptor: descriptor)
    } catch {
      throw SystemError(.badMessage, "receive", "what is no message")
    }
  }

  private func read(_ length: Int) throws -> [UInt8] {
    var (bytes, count) = ([UInt8](repeating: 0, count: length), 0)
    while count < length {
      let read = bytes.withUnsafeMutableBytes { bytes in
        recv(socket.rawValue, bytes.baseAddress.map { $0 + count }, length - count, 0)
      }
      if read < 0, errno == EINTR { continue }
      guard read > 0 else { throw broken(read) }
      count += read
    }
    return bytes
  }

  private func broken(_ result: Int) -> SystemError {
    SystemError(result < 0 ? .last : .connectionReset, "receive", "a message of istbpf-relay")
  }

  /// Ends it, so that both ends receive nothing more.
  package func end() { shutdown(socket.rawValue, Int32(SHUT_RDWR)) }
}
