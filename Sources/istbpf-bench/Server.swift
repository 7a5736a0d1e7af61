import Glibc

/// Serves one connection at a time, so that nothing but the connection is measured.
struct Server: ~Copyable {
  private let listener: StreamSocket
  /// What one read takes at most: as much as the largest write that is measured.
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)

  /// Listens on `port` of every address.
  init(port: UInt16) throws(CallFailed) { listener = try Self.listen(on: port) }

  deinit { buffer.deallocate() }

  /// Serves for ever, but for a failure to accept.
  func run() throws(CallFailed) {
    while true {
      let connection = try StreamSocket(accepted: accept(listener.descriptor, nil, nil))
      do throws(CallFailed) {
        try serve(connection)
      } catch {
        // The client ended in the middle, which is its to tell: the next one is none the worse.
      }
    }
  }

  private static func listen(on port: UInt16) throws(CallFailed) -> StreamSocket {
    let socket = try StreamSocket()
    try socket.set(SOL_SOCKET, SO_REUSEADDR, to: 1)
    let descriptor = socket.descriptor
    let endpoint = Endpoint(address: in_addr(s_addr: 0), port: port)
    guard endpoint.call({ bind(descriptor, $0, $1) }) == 0 else { throw CallFailed(call: "bind") }
    guard Glibc.listen(descriptor, 128) == 0 else { throw CallFailed(call: "listen") }
    return socket
  }

  private func serve(_ connection: borrowing StreamSocket) throws(CallFailed) {
    let first = UnsafeMutableRawBufferPointer(rebasing: buffer[..<1])
    guard try connection.receiveAll(first) else { return }
    switch Service(rawValue: buffer[0]) {
    case .discard: try discard(connection)
    case .echo: try echo(connection)
    case .close, nil: break
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
