import CLinux
import Glibc
import Synchronization

/// Measures against one server.
struct Client {
  private let endpoint: Endpoint

  /// A client of the server at `address`, dotted, and `port`.
  init(address: String, port: UInt16) throws(CallFailed) {
    var parsed = in_addr()
    guard inet_pton(AF_INET, address, &parsed) == 1 else {
      errno = EINVAL
      throw CallFailed(call: "parse \(address)")
    }
    endpoint = Endpoint(address: parsed, port: port)
  }

  /// Takes one measurement.
  func measure(_ order: Order) throws(CallFailed) -> Measurement {
    switch order {
    case .bulk(let seconds, let bytes, 1): try bulk(seconds, bytes)
    case .bulk(let seconds, let bytes, let streams): try bulk(seconds, bytes, streams)
    case .roundTrip(let seconds, let bytes): try roundTrip(seconds, bytes)
    case .connect(let seconds, 1): try connections(seconds)
    case .connect(let seconds, let atOnce): try connections(seconds, atOnce)
    case .connectTime(let seconds): try connectTimes(seconds)
    case .stay(let count): try accumulate(count)
    case .burst(let count): try burst(count)
    }
  }

  private func connected() throws(CallFailed) -> StreamSocket {
    let socket = try StreamSocket()
    let descriptor = socket.descriptor
    guard endpoint.call({ connect(descriptor, $0, $1) }) == 0 else {
      throw CallFailed(call: "connect")
    }
    return socket
  }

  private func connected(for service: Service) throws(CallFailed) -> StreamSocket {
    let socket = try connected()
    try ask(for: service, on: socket)
    return socket
  }

  private func ask(for service: Service, on socket: borrowing StreamSocket) throws(CallFailed) {
    var byte = service.rawValue
    guard send(socket.descriptor, &byte, 1, Int32(MSG_NOSIGNAL)) == 1 else {
      throw CallFailed(call: "send")
    }
  }

  private static func buffer(_ count: Int) -> UnsafeMutableRawBufferPointer {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
    buffer.initializeMemory(as: UInt8.self, repeating: 0x5a)
    return buffer
  }

  /// Bytes a second, from the first write until the server has read all and said so.
  private func bulk(_ seconds: Double, _ bytes: Int) throws(CallFailed) -> Measurement {
    let socket = try connected(for: .discard)
    let buffer = Self.buffer(bytes)
    defer { buffer.deallocate() }
    // The clock is looked at once in a mebibyte, so that it costs a small write nothing.
    let writes = max(1, (1 << 20) / bytes)
    let start = nanoseconds()
    let end = start + UInt64(seconds * 1e9)
    repeat {
      for _ in 0..<writes { try socket.sendAll(buffer) }
    } while nanoseconds() < end
    shutdown(socket.descriptor, Int32(SHUT_WR))
    var total: UInt64 = 0
    let answered = try withAnswer(&total) { answer throws(CallFailed) in
      try socket.receiveAll(answer)
    }
    let elapsed = nanoseconds() - start
    guard answered else { throw CallFailed(call: "await the server's count") }
    return Measurement(
      name: "bulk", value: Double(total) / Double(elapsed), unit: "GB/s", count: Int(total),
      nanoseconds: elapsed)
  }

  /// The same on several connections at once: the sum of their bytes, over the time that the longest
  /// took.
  private func bulk(_ seconds: Double, _ bytes: Int, _ streams: Int) throws(CallFailed)
    -> Measurement
  {
    let (total, elapsed) = try atOnce(streams) { () throws(CallFailed) in
      try bulk(seconds, bytes)
    }
    return Measurement(
      name: "bulk", value: Double(total) / Double(elapsed), unit: "GB/s", count: total,
      nanoseconds: elapsed)
  }

  /// The sum of the counts of measurements that are taken at the same time, and the time that the longest took.
  private func atOnce(
    _ times: Int, _ body: @escaping @Sendable () throws(CallFailed) -> Measurement
  ) throws(CallFailed) -> (total: Int, elapsed: UInt64) {
    let results = Mutex<[Result<Measurement, CallFailed>]>([])
    onThreads(times) { _ in
      let result = Result { () throws(CallFailed) in try body() }
      results.withLock { $0.append(result) }
    }
    var (total, elapsed) = (0, UInt64(0))
    for result in results.withLock({ $0 }) {
      let one = try result.get()
      (total, elapsed) = (total + one.count, max(elapsed, one.nanoseconds))
    }
    return (total, elapsed)
  }

  private func withAnswer(
    _ total: inout UInt64,
    _ body: (UnsafeMutableRawBufferPointer) throws(CallFailed) -> Bool
  ) throws(CallFailed) -> Bool {
    let answer = Self.buffer(MemoryLayout<UInt64>.size)
    defer { answer.deallocate() }
    guard try body(answer) else { return false }
    total = answer.load(as: UInt64.self)
    return true
  }

  /// The median latency of one exchange.
  private func roundTrip(_ seconds: Double, _ bytes: Int) throws(CallFailed) -> Measurement {
    let socket = try connected(for: .echo)
    try socket.sendAtOnce()
    let buffer = Self.buffer(bytes)
    defer { buffer.deallocate() }
    var latencies: [UInt32] = []
    latencies.reserveCapacity(Int(seconds * 1e6))
    let start = nanoseconds()
    let end = start + UInt64(seconds * 1e9)
    var before = start
    repeat {
      try socket.sendAll(buffer)
      guard try socket.receiveAll(buffer) else { throw CallFailed(call: "await the echo") }
      let after = nanoseconds()
      latencies.append(UInt32(clamping: after - before))
      before = after
    } while before < end
    return median("round-trip", &latencies, before - start)
  }

  private func median(
    _ name: String, _ latencies: inout [UInt32], _ elapsed: UInt64
  ) -> Measurement {
    latencies.sort()
    let percentiles = [50, 90, 99].map { ($0, latencies[latencies.count * $0 / 100]) }
    return Measurement(
      name: name, value: Double(percentiles[0].1) / 1000, unit: "us",
      count: latencies.count, nanoseconds: elapsed, percentiles: percentiles)
  }

  /// The median time of connect() alone, of connections as `connections` makes them.
  private func connectTimes(_ seconds: Double) throws(CallFailed) -> Measurement {
    let buffer = Self.buffer(1)
    defer { buffer.deallocate() }
    var latencies: [UInt32] = []
    let start = nanoseconds()
    let end = start + UInt64(seconds * 1e9)
    repeat {
      let before = nanoseconds()
      let socket = try connected()
      latencies.append(UInt32(clamping: nanoseconds() - before))
      try ask(for: .greet, on: socket)
      guard try socket.receiveAll(buffer), try socket.receive(buffer) == 0 else {
        throw CallFailed(call: "await one byte and the end")
      }
    } while nanoseconds() < end
    return median("connect-time", &latencies, nanoseconds() - start)
  }

  /// Connections a second: connect, ask for a byte, await it and the end, close.
  ///
  /// The server closes first, so that TIME_WAIT is its, and the client does not run out of ports.
  private func connections(_ seconds: Double) throws(CallFailed) -> Measurement {
    let buffer = Self.buffer(1)
    defer { buffer.deallocate() }
    var count = 0
    let start = nanoseconds()
    let end = start + UInt64(seconds * 1e9)
    var now: UInt64
    repeat {
      let socket = try connected(for: .greet)
      guard try socket.receiveAll(buffer), try socket.receive(buffer) == 0 else {
        throw CallFailed(call: "await one byte and the end")
      }
      count += 1
      now = nanoseconds()
    } while now < end
    return Measurement(
      name: "connect", value: Double(count) / Double(now - start) * 1e9, unit: "1/s",
      count: count, nanoseconds: now - start)
  }

  /// The same by so many threads at once.
  private func connections(_ seconds: Double, _ times: Int) throws(CallFailed) -> Measurement {
    let (total, elapsed) = try atOnce(times) { () throws(CallFailed) in try connections(seconds) }
    return rate("connect", total, elapsed)
  }

  /// Connections a second, each with a byte there and one back, that stay open until the last is there.
  private func accumulate(_ count: Int) throws(CallFailed) -> Measurement {
    let buffer = Self.buffer(1)
    defer { buffer.deallocate() }
    var open: [Int32] = []
    defer { for descriptor in open { close(descriptor) } }
    let start = nanoseconds()
    for _ in 0..<count {
      let socket = try connected(for: .hold)
      guard try socket.receiveAll(buffer) else { throw CallFailed(call: "await one byte") }
      open.append(socket.release())
    }
    return rate("stay", count, nanoseconds() - start)
  }

  private func rate(_ name: String, _ count: Int, _ elapsed: UInt64) -> Measurement {
    Measurement(
      name: name, value: Double(count) / Double(elapsed) * 1e9, unit: "1/s", count: count,
      nanoseconds: elapsed)
  }

  /// The same, begun all at once.
  private func burst(_ count: Int) throws(CallFailed) -> Measurement {
    let poller = linux_epoll_create()
    guard poller >= 0 else { throw CallFailed(call: "epoll_create1") }
    var open: [Int32] = [poller]
    defer { for descriptor in open { close(descriptor) } }
    let start = nanoseconds()
    for _ in 0..<count {
      let descriptor = try StreamSocket().release()
      open.append(descriptor)
      _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
      guard endpoint.call({ connect(descriptor, $0, $1) }) == 0 || errno == EINPROGRESS,
        linux_epoll_watch(poller, descriptor, UInt64(descriptor), 0) == 0
      else { throw CallFailed(call: "connect") }
    }
    var (asked, answered) = (Set<Int32>(), 0)
    var events = [linux_event](repeating: linux_event(), count: 256)
    while answered < count {
      let ready = linux_epoll_wait(poller, &events, Int32(events.count), 60_000)
      guard ready > 0 else { throw CallFailed(call: "await connections for 60 s") }
      for event in events.prefix(Int(ready)) {
        let descriptor = Int32(event.token)
        var byte = Service.hold.rawValue
        // A socket that is not connected yet reports an end as well.
        if event.events & (linux_epoll_out | linux_epoll_hangup) == linux_epoll_out,
          asked.insert(descriptor).inserted
        {
          guard send(descriptor, &byte, 1, Int32(MSG_NOSIGNAL)) == 1 else {
            throw CallFailed(call: "connect and send")
          }
        }
        if event.events & linux_epoll_in != 0, asked.contains(descriptor) {
          let count = recv(descriptor, &byte, 1, 0)
          guard count == 1 || (count < 0 && errno == EAGAIN) else {
            throw CallFailed(call: "await one byte")
          }
          answered += max(0, count)
        }
      }
    }
    return rate("burst", count, nanoseconds() - start)
  }
}
