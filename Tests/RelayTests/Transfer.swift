import Glibc
import Testing
import TunnelTestSupport

/// Bytes that both ends can make from a seed, and a hash of what came.
struct Transfer {
  /// So many MiB, and where the machine is emulated (ISTBPF_TEST_SLOWNESS) fewer.
  static func size(mebibytes: Int) -> Int {
    let slowness = getenv("ISTBPF_TEST_SLOWNESS").flatMap { Int(String(cString: $0)) } ?? 1
    return (mebibytes << 20) / max(1, slowness / 2)
  }

  /// Sends `count` bytes of `seed` in pieces of random sizes with some pauses, then FIN.
  static func send(_ count: Int, seed: UInt64, to socket: TestSocket) throws {
    var generator = Generator(state: seed)
    var (left, sizes) = (count, Generator(state: seed ^ 0x55))
    while left > 0 {
      let bound = [16, 700, 20_000, 300_000][Int(sizes.next() % 4)]
      let size = min(left, Int(sizes.next() % UInt64(bound)) + 1)
      try socket.send(generator.bytes(size))
      left -= size
      if sizes.next() % 64 == 0 { usleep(3000) }
    }
    socket.finish()
  }

  /// Receives to the end, with some pauses; how many bytes came and whether they are those of `seed`.
  static func receive(seed: UInt64, from socket: TestSocket) throws -> (count: Int, isRight: Bool) {
    var generator = Generator(state: seed)
    var (count, isRight, reads) = (0, true, 0)
    while true {
      let bytes = try socket.receive(262_144)
      if bytes.isEmpty { return (count, isRight) }
      count += bytes.count
      if bytes != generator.bytes(bytes.count) { isRight = false }
      reads += 1
      if reads % 200 == 0 { usleep(10_000) }
    }
  }

  /// Receives to the end, and expects `count` bytes of `seed`.
  static func expect(_ count: Int, seed: UInt64, from socket: TestSocket) throws {
    let received = try receive(seed: seed, from: socket)
    #expect(received.count == count)
    #expect(received.isRight)
  }

  /// A stream of bytes in which none is like its neighbours, of 8 at a time.
  private struct Generator {
    var state: UInt64
    var word: UInt64 = 0
    var left = 0

    init(state: UInt64) { self.state = state }

    mutating func next() -> UInt64 {
      // SplitMix64, so that one byte that is lost shifts all others.
      state &+= 0x9e37_79b9_7f4a_7c15
      var mixed = state
      mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
      mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
      return mixed ^ mixed >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
      [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
        for index in 0..<count {
          if left == 0 { (word, left) = (next(), 8) }
          buffer[index] = UInt8(truncatingIfNeeded: word)
          word >>= 8
          left -= 1
        }
        used = count
      }
    }
  }
}
