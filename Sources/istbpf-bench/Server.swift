import CLinux
import Glibc

/// Answers connections, several at a time, each on a thread that was there before it.
struct Server: Sendable {
  /// The most connections that are served at a time.
  static let connections = 256

  /// Listens for as long as the program runs.
  private let listener: Int32
  /// Connections that are held: an epoll instance.
  private let held: Int32

  /// Listens on `port` of every address.
  init(port: UInt16) throws(CallFailed) {
    let socket = try StreamSocket()
    try socket.set(SOL_SOCKET, SO_REUSEADDR, to: 1)
    let endpoint = Endpoint(address: in_addr(s_addr: 0), port: port)
    guard endpoint.call({ [descriptor = socket.descriptor] in bind(descriptor, $0, $1) }) == 0
    else {
      throw CallFailed(call: "bind")
    }
    guard listen(socket.descriptor, 4096) == 0 else { throw CallFailed(call: "listen") }
    held = linux_epoll_create()
    guard held >= 0 else { throw CallFailed(call: "epoll_create1") }
    listener = socket.release()
  }

  /// Serves until a failure to accept.
  func run() {
    onThreads(Self.connections + 1) { number in
      guard number > 0 else { return closeHeld() }
      var worker = Worker(held: held)
      while true {
        do throws(CallFailed) {
          try worker.serve(try StreamSocket(accepted: accept(listener, nil, nil)))
        } catch {
          guard error.call != "accept" else { return }
          // The client ended in the middle, which is its to tell: the next one is none the worse.
        }
      }
    }
  }
}

extension Server {
  /// Closes held connections as their clients do.
  private func closeHeld() {
    let ends = linux_epoll_read_hangup | linux_epoll_hangup | linux_epoll_error
    var events = [linux_event](repeating: linux_event(), count: 256)
    while true {
      let ready = linux_epoll_wait(held, &events, Int32(events.count), -1)
      for event in events.prefix(Int(max(0, ready))) where event.events & ends != 0 {
        close(Int32(event.token))
      }
    }
  }
}

/// Serves one connection at a time.
private struct Worker: ~Copyable {
  /// What takes those that stay open.
  let held: Int32
  /// What one read takes at most: as much as the largest write that is measured.
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)

  deinit { buffer.deallocate() }

  mutating func serve(_ connection: borrowing StreamSocket) throws(CallFailed) {
    let first = UnsafeMutableRawBufferPointer(rebasing: buffer[..<1])
    guard try connection.receiveAll(first) else { return }
    switch Service(rawValue: buffer[0]) {
    case .discard: try discard(connection)
    case .echo: try echo(connection)
    case .greet: try connection.sendAll(first)
    case .hold: try hold(connection, first)
    case nil: break
    }
  }

  private func hold(
    _ connection: borrowing StreamSocket, _ answer: UnsafeMutableRawBufferPointer
  ) throws(CallFailed) {
    let descriptor = fcntl(connection.descriptor, F_DUPFD_CLOEXEC, 0)
    guard descriptor >= 0 else { throw CallFailed(call: "dup") }
    guard linux_epoll_watch(held, descriptor, UInt64(descriptor), 0) == 0 else {
      close(descriptor)
      throw CallFailed(call: "epoll_ctl")
    }
    try connection.sendAll(answer)
  }

  private func discard(_ connection: borrowing StreamSocket) throws(CallFailed) {
    var total: UInt64 = 0
    while true {
      let count = try connection.receive(buffer)
      if count == 0 { break }
      total += UInt64(count)
    }
    buffer.storeBytes(of: total, as: UInt64.self)
    try connection.sendAll(
      UnsafeMutableRawBufferPointer(rebasing: buffer[..<MemoryLayout<UInt64>.size]))
  }

  private func echo(_ connection: borrowing StreamSocket) throws(CallFailed) {
    try connection.sendAtOnce()
    while true {
      let count = try connection.receive(buffer)
      if count == 0 { return }
      try connection.sendAll(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
    }
  }
}
