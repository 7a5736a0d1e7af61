import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// A blocking TCP socket of a test.
public final class TestSocket: Sendable {
  private let socket: OwnedDescriptor
  /// The descriptor.
  public var descriptor: Int32 { socket.rawValue }

  /// Takes over a connected descriptor.
  public init(_ socket: consuming OwnedDescriptor) { self.socket = socket }

  /// A listener on a free port of `host`, and that port.
  public static func listener(
    _ host: String = "127.0.0.1"
  ) throws -> (socket: TestSocket, port: UInt16) {
    let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    let socket = TestSocket(OwnedDescriptor(owning: descriptor))
    var name = address(host, 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isDone = withUnsafeMutablePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 4096) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isDone else { throw SystemError(.last, "listen on", host) }
    return (socket, UInt16(bigEndian: name.sin_port))
  }

  /// Connects to `port` of `host`, from the address `source`; throws `SystemError`.
  public static func connect(
    _ port: UInt16, host: String = "127.0.0.1", from source: String? = nil
  ) throws -> TestSocket {
    let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    let socket = TestSocket(OwnedDescriptor(owning: descriptor))
    if let source {
      var name = address(source, 0)
      let isBound = withUnsafePointer(to: &name) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
      }
      guard isBound else { throw SystemError(.last, "bind to", source) }
    }
    var name = address(host, port)
    let result = withUnsafePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw SystemError(.last, "connect to", "\(host):\(port)") }
    linux_tcp_no_delay(descriptor)
    return socket
  }

  private static func address(_ host: String, _ port: UInt16) -> sockaddr_in {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    inet_pton(AF_INET, host, &name.sin_addr)
    return name
  }

  /// The two ends of a connection: the program's, and the one that a relay gets.
  public static func pair() throws -> (program: TestSocket, relay: Int32) {
    let (listener, port) = try listener()
    let program = try connect(port)
    return (program, try listener.accept().duplicate())
  }

  /// A duplicate of the descriptor, which the caller owns.
  public func duplicate() -> Int32 { fcntl(descriptor, F_DUPFD_CLOEXEC, 0) }

  /// The next connection; throws `SystemError`.
  public func accept() throws -> TestSocket {
    let accepted = Glibc.accept(descriptor, nil, nil)
    guard accepted >= 0 else { throw SystemError(.last, "accept", "a connection") }
    linux_tcp_no_delay(accepted)
    return TestSocket(OwnedDescriptor(owning: accepted))
  }

  /// Sends all of `bytes`; throws `SystemError`.
  public func send(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try send($0) } }

  /// Sends all of `bytes`; throws `SystemError`.
  public func send(_ bytes: UnsafeRawBufferPointer) throws {
    var done = 0
    while done < bytes.count {
      let sent = Glibc.send(
        descriptor, bytes.baseAddress.unsafelyUnwrapped + done, bytes.count - done,
        Int32(MSG_NOSIGNAL))
      guard sent > 0 else { throw SystemError(.last, "send to", "a socket") }
      done += sent
    }
  }

  /// Receives up to `count` bytes, none at the end; throws `SystemError`.
  public func receive(_ count: Int = 65_536) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let received = recv(descriptor, &bytes, count, 0)
    guard received >= 0 else { throw SystemError(.last, "receive from", "a socket") }
    return Array(bytes.prefix(received))
  }

  /// Waits until there are bytes to receive, or the end, and takes none; throws `SystemError`.
  public func awaitBytes() throws {
    var byte: UInt8 = 0
    guard recv(descriptor, &byte, 1, Int32(MSG_PEEK)) >= 0 else {
      throw SystemError(.last, "receive from", "a socket")
    }
  }

  /// Receives to the end; throws `SystemError`.
  public func receiveAll() throws -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let bytes = try receive()
      if bytes.isEmpty { return all }
      all += bytes
    }
  }

  /// Receives exactly `count` bytes, fewer at the end.
  public func receiveExactly(_ count: Int) throws -> [UInt8] {
    var all: [UInt8] = []
    while all.count < count {
      let bytes = try receive(count - all.count)
      if bytes.isEmpty { break }
      all += bytes
    }
    return all
  }

  /// What ended it: nil for a FIN, else the errno.
  public func ending() -> Errno? {
    do {
      while try !receive().isEmpty {}
      return nil
    } catch {
      return (error as? SystemError)?.errno ?? .badAddress
    }
  }

  /// Has calls fail after `seconds`.
  public func limit(_ seconds: Int) {
    var time = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
  }

  /// Sends FIN.
  public func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Closes with an RST, when this object and all others of the descriptor end.
  public func resetOnClose() { linux_reset_on_close(descriptor) }

  /// Breaks the connection off with an RST, now. A close might do so later: a child that another test has just forked has
  /// this process's descriptors until it executes its program.
  public func reset() {
    var nowhere = sockaddr(sa_family: sa_family_t(AF_UNSPEC), sa_data: sockaddr().sa_data)
    _ = Glibc.connect(descriptor, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
  }
}
