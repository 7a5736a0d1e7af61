import Crypto
import Glibc
import LinuxSystem

/// Many bytes each way at once through one connection: in pieces of random sizes, with pauses on all
/// sides, and one direction begun and ended before the other. What arrives is compared by SHA-256.
public struct LongTransfer: Sendable {
  /// The bytes of each direction.
  public let size: Int
  private let block: [UInt8]

  /// A transfer of `size` bytes in each direction.
  public init(size: Int) {
    self.size = size
    // Pieces are cut out of it anywhere, so that no two are alike.
    var generator = SystemRandomNumberGenerator()
    block = (0..<(4 << 20)).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  /// Bytes that did not arrive as they were sent.
  public struct Difference: Error, CustomStringConvertible {
    /// Which direction, and how many bytes came.
    public let description: String
  }

  /// Carries it out between the two ends of a connection; throws `Difference` or `SystemError`.
  public func run(between program: TestSocket, and service: TestSocket) throws {
    // One direction is ahead by up to a quarter, and so half-closes while the other goes on.
    let lead = Int.random(in: 0...(size / 4))
    let (first, second) = Bool.random() ? (program, service) : (service, program)
    let gate = Gate()
    let (up, down) = (Direction(), Direction())
    try concurrently(
      { up.sent = try send(to: first, lead: lead) { gate.open() } },
      {
        gate.wait()
        down.sent = try send(to: second, lead: 0) {}
      },
      { (up.count, up.received) = try receive(from: second) },
      { (down.count, down.received) = try receive(from: first) })
    for direction in [up, down] {
      guard direction.count == size, direction.sent == direction.received else {
        throw Difference(
          description: "\(direction === up ? "first" : "second") direction: \(direction.count) of "
            + "\(size) bytes came, SHA-256 \(direction.sent == direction.received ? "equal" : "differs")"
        )
      }
    }
  }

  private final class Direction: @unchecked Sendable {
    // Safe because each is written by one thread, and read when all have been joined.
    var sent: SHA256Digest?
    var received: SHA256Digest?
    var count = 0
  }

  private func send(
    to socket: TestSocket, lead: Int, whenAhead: () -> Void
  ) throws -> SHA256Digest {
    var (hash, sent, isAhead) = (SHA256(), 0, false)
    defer { if !isAhead { whenAhead() } }
    while sent < size {
      if !isAhead, sent >= lead {
        isAhead = true
        whenAhead()
      }
      let bound = [64, 2000, 70_000, 262_144, 262_144, 262_144].randomElement() ?? 1
      let count = min(size - sent, Int.random(in: 1...bound))
      let start = Int.random(in: 0...(block.count - count))
      try block.withUnsafeBytes { bytes in
        let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + count)])
        hash.update(bufferPointer: piece)
        try socket.send(piece)
      }
      sent += count
      pauseSometimes()
    }
    socket.finish()
    return hash.finalize()
  }

  private func receive(from socket: TestSocket) throws -> (Int, SHA256Digest) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 262_144, alignment: 64)
    defer { memory.deallocate() }
    var (hash, received) = (SHA256(), 0)
    while true {
      let count = recv(socket.descriptor, memory, Int.random(in: 1...262_144), 0)
      guard count >= 0 else { throw SystemError(.last, "receive from", "a socket") }
      if count == 0 { return (received, hash.finalize()) }
      hash.update(bufferPointer: UnsafeRawBufferPointer(start: memory, count: count))
      received += count
      pauseSometimes()
    }
  }

  private func pauseSometimes() {
    if Int.random(in: 0..<1000) == 0 { usleep(.random(in: 0...20_000)) }
  }
}
