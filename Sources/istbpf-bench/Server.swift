import Glibc

/// Answers connections, several at a time, each on a thread that was there before it.
struct Server: Sendable {
  /// The most connections that are served at a time.
  static let connections = 16

  /// Listens for as long as the program runs.
  private let listener: Int32

  /// Listens on `port` of every address.
  init(port: UInt16) throws(CallFailed) {
    let socket = try StreamSocket()
    try socket.set(SOL_SOCKET, SO_REUSEADDR, to: 1)
    let endpoint = Endpoint(address: in_addr(s_addr: 0), port: port)
    guard endpoint.call({ [descriptor = socket.descriptor] in bind(descriptor, $0, $1) }) == 0
    else {
      throw CallFailed(call: "bind")
    }
    guard listen(socket.descriptor, 128) == 0 else { throw CallFailed(call: "listen") }
    listener = socket.release()
  }

  /// Serves until a failure to accept.
  func run() {
    onThreads(Self.connections) { _ in
      var worker = Worker()
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

/// Serves one connection at a time.
private struct Worker: ~Copyable {
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
    case nil: break
    }
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
