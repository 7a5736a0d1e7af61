import CLinux
import Glibc

/// A call that failed, with its errno.
struct CallFailed: Error, CustomStringConvertible {
  let call: String
  let code = errno

  var description: String { "\(call): \(String(cString: strerror(code)))" }
}

/// A TCP socket over IPv4, closed with its one owner.
struct StreamSocket: ~Copyable {
  let descriptor: Int32

  /// A new socket.
  init() throws(CallFailed) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
    guard descriptor >= 0 else { throw CallFailed(call: "socket") }
  }

  /// Takes over what accept() returned.
  init(accepted: Int32) throws(CallFailed) {
    guard accepted >= 0 else { throw CallFailed(call: "accept") }
    descriptor = accepted
  }

  deinit { close(descriptor) }

  /// Gives the descriptor away, to live on.
  consuming func release() -> Int32 {
    let descriptor = descriptor
    discard self
    return descriptor
  }

  /// Sets an option of type int.
  func set(_ level: Int32, _ name: Int32, to value: Int32) throws(CallFailed) {
    var value = value
    let size = socklen_t(MemoryLayout<Int32>.size)
    guard setsockopt(descriptor, level, name, &value, size) == 0 else {
      throw CallFailed(call: "setsockopt")
    }
  }

  /// Sends without waiting for more to send.
  func sendAtOnce() throws(CallFailed) { try set(Int32(IPPROTO_TCP), TCP_NODELAY, to: 1) }

  /// Reads once; 0 at the end of the stream.
  @inline(__always)
  func receive(_ buffer: UnsafeMutableRawBufferPointer) throws(CallFailed) -> Int {
    let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
    guard count >= 0 else { throw CallFailed(call: "recv") }
    return count
  }

  /// Fills `buffer`; false where the stream ends before.
  @inline(__always)
  func receiveAll(_ buffer: UnsafeMutableRawBufferPointer) throws(CallFailed) -> Bool {
    var filled = 0
    while filled < buffer.count {
      let count = try receive(UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
      if count == 0 { return false }
      filled += count
    }
    return true
  }

  /// Writes all of `buffer`: a blocking socket takes it in one call.
  @inline(__always)
  func sendAll(_ buffer: UnsafeMutableRawBufferPointer) throws(CallFailed) {
    var sent = 0
    while sent < buffer.count {
      let rest = UnsafeRawBufferPointer(rebasing: buffer[sent...])
      let count = Glibc.send(
        descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
      guard count >= 0 else { throw CallFailed(call: "send") }
      sent += count
    }
  }
}

/// Where a socket is bound or connected to.
struct Endpoint {
  private var value = sockaddr_in()

  /// Of numbers, which are in network byte order in the kernel's structure.
  init(address: in_addr, port: UInt16) {
    value.sin_family = sa_family_t(AF_INET)
    value.sin_port = port.bigEndian
    value.sin_addr = address
  }

  /// Calls `body` with what bind() and connect() take.
  func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    withUnsafePointer(to: value) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}

/// Nanoseconds of the monotonic clock, which the C library reads without a system call.
@inline(__always)
func nanoseconds() -> UInt64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}
