import CLinux
import Glibc
import LinuxSystem
import SwiftProtobuf
import SystemPackage

/// One end of the socket pair on which a relay passes on what it carries: messages with keys and descriptors beside them.
///
/// Nobody else can have it open: it has no name, and istbpfd, which makes it, gives an end to each of the two processes
/// that it knows. Calls block. Sendable, which the compiler cannot see, because it holds nothing but the descriptor, which
/// does not change, and because one thread at a time sends and receives: that of the loop whose turn it is.
package final class HandOverChannel: @unchecked Sendable {
  /// The longest message, in bytes: a batch of streams, each with full buffers.
  private static let maximum = 64 << 20
  /// Four bytes for the message's length, four for that of the keys, both in network byte order.
  private static let headerSize = 8

  private let socket: OwnedDescriptor

  /// A message, and what came beside it.
  package struct Received<Content: Message> {
    package let message: Content
    package let keys: HandOverKeys
    package let descriptors: ReceivedDescriptors
  }

  /// Takes over `socket`, one end of a pair of stream sockets. Throws `SystemError`.
  package init(_ socket: consuming OwnedDescriptor) throws {
    let flags = fcntl(socket.rawValue, F_GETFL)
    guard flags >= 0, fcntl(socket.rawValue, F_SETFL, flags & ~O_NONBLOCK) == 0 else {
      throw SystemError(.last, "prepare", "a socket for the hand-over")
    }
    self.socket = socket
  }

  /// Two ends. Throws `SystemError`.
  package static func pair() throws -> (HandOverChannel, HandOverChannel) {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
      throw SystemError(.last, "make", "sockets for the hand-over")
    }
    let second = OwnedDescriptor(owning: ends[1])
    return (try HandOverChannel(OwnedDescriptor(owning: ends[0])), try HandOverChannel(second))
  }

  /// The descriptor, valid as long as this lives.
  package var descriptor: Int32 { socket.rawValue }

  /// Has calls fail with EAGAIN where the other end does nothing for so many seconds; 0 for never.
  package func limit(seconds: Int) {
    var limit = timeval(tv_sec: seconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(
        socket.rawValue, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  /// Sends a message, with `keys`, and copies of `descriptors`, at most `linux_unix_most_descriptors`. One of a few
  /// kilobytes goes whole or not at all. Throws `SystemError`: then the channel is of no use any more.
  package func send(
    _ message: some Message, keys: HandOverKeys? = nil, descriptors: [Int32] = []
  ) throws {
    let bytes: [UInt8]
    do { bytes = try message.serializedBytes() } catch {
      throw SystemError(.invalidArgument, "send", "a message that cannot be encoded")
    }
    guard bytes.count <= Self.maximum else {
      throw SystemError(.messageTooLong, "send", "a message of \(bytes.count) bytes")
    }
    let sizes = [bytes.count, keys?.bytes.count ?? 0]
    let all = sizes.flatMap { withUnsafeBytes(of: UInt32($0).bigEndian, Array.init) } + bytes
    let sent = linux_unix_send_descriptors(
      socket.rawValue, all, all.count, descriptors, descriptors.count)
    guard sent > 0 else { throw SystemError(.last, "send", "what is passed on") }
    try all.withUnsafeBytes { try write(.init(rebasing: $0[sent...])) }
    if let keys { try write(keys.bytes) }
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      let sent = Glibc.send(socket.rawValue, base, rest.count, Int32(MSG_NOSIGNAL))
      if sent < 0, errno == EINTR { continue }
      guard sent > 0 else { throw SystemError(.last, "send", "what is passed on") }
      rest = .init(rebasing: rest[sent...])
    }
  }

  /// The next message; nil where the other end has closed the channel. Throws `SystemError` where it breaks off, says
  /// what is no message, or nothing for the time of `limit`.
  package func receive<Content: Message>(_ type: Content.Type) throws -> Received<Content>? {
    let descriptors = ReceivedDescriptors()
    guard let header = try readHeader(descriptors) else { return nil }
    let keys = HandOverKeys()
    guard header.message <= Self.maximum, let room = keys.room(for: header.keys) else {
      throw SystemError(.messageTooLong, "receive", "what is passed on")
    }
    var bytes = [UInt8](repeating: 0, count: header.message)
    try bytes.withUnsafeMutableBytes(read)
    try read(room)
    do {
      return Received(
        message: try Content(serializedBytes: bytes), keys: keys, descriptors: descriptors)
    } catch {
      throw SystemError(.badMessage, "receive", "what is no message")
    }
  }

  private func readHeader(
    _ descriptors: ReceivedDescriptors
  ) throws -> (message: Int, keys: Int)? {
    var header = [UInt8](repeating: 0, count: Self.headerSize)
    var done = 0
    while done < header.count {
      let count = header.withUnsafeMutableBytes { bytes in
        descriptors.receive(
          on: socket.rawValue, into: UnsafeMutableRawBufferPointer(rebasing: bytes[done...]))
      }
      if count < 0, errno == EINTR { continue }
      if count == 0, done == 0 { return nil }
      guard count > 0 else { throw broken(count) }
      done += count
    }
    let sizes = header.withUnsafeBytes { bytes in
      (
        bytes.loadUnaligned(as: UInt32.self),
        bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
      )
    }
    return (Int(UInt32(bigEndian: sizes.0)), Int(UInt32(bigEndian: sizes.1)))
  }

  private func read(_ bytes: UnsafeMutableRawBufferPointer) throws {
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      let count = recv(socket.rawValue, base, rest.count, 0)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw broken(count) }
      rest = .init(rebasing: rest[count...])
    }
  }

  private func broken(_ result: Int) -> SystemError {
    SystemError(result < 0 ? .last : .connectionReset, "receive", "what is passed on")
  }

  /// Whether the other end has been closed.
  package var isHungUp: Bool {
    var byte: UInt8 = 0
    return linux_receive(socket.rawValue, &byte, 1, 1) == 0
  }

  /// Ends it: neither end can send anything more. What the other one had sent before can still be received, and nothing
  /// that it sends afterwards succeeds, so that both know the same.
  package func end() { shutdown(socket.rawValue, Int32(SHUT_RDWR)) }
}

/// Descriptors that came with a message, in their order. Those that nobody takes are closed.
package final class ReceivedDescriptors {
  private var numbers: [Int32] = []

  deinit { for number in numbers { close(number) } }

  /// How many are left.
  package var count: Int { numbers.count }

  /// The next one; nil where there is none.
  package func take() -> OwnedDescriptor? {
    numbers.isEmpty ? nil : OwnedDescriptor(owning: numbers.removeFirst())
  }

  /// recv(2) that adds the descriptors which come with the bytes.
  fileprivate func receive(on socket: Int32, into bytes: UnsafeMutableRawBufferPointer) -> Int {
    var new = [Int32](repeating: -1, count: Int(linux_unix_most_descriptors))
    var count = 0
    let received = linux_unix_receive_descriptors(
      socket, bytes.baseAddress, bytes.count, &new, &count)
    numbers += new.prefix(count)
    return received
  }
}
