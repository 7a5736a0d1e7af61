import CLinux
import Glibc
import LinuxSystem
import Testing
import TunnelTestSupport

@testable import Tunnel

@Suite("Records that are sealed and opened in this process")
struct RecordTests {
  /// The client's application data of RFC 8448 3: its key, its iv, and its first record.
  private static let key: [UInt8] = [
    0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51,
  ]
  private static let iv: [UInt8] = [
    0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9,
  ]
  private static let content = [UInt8](0..<50)
  private static let record: [UInt8] = [
    0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa, 0xfe,
    0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f,
    0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b,
    0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6,
    0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4,
  ]

  private static func cipher(key: [UInt8] = key) throws -> RecordCipher {
    var keys = linux_tls_keys()
    withUnsafeMutableBytes(of: &keys.key) { $0.copyBytes(from: key) }
    withUnsafeMutableBytes(of: &keys.iv) { $0.copyBytes(from: iv) }
    keys.key_length = UInt32(key.count)
    return try #require(RecordCipher(&keys))
  }

  private static func seal(
    _ content: [UInt8], type: UInt8 = RecordCipher.ContentType.applicationData,
    by cipher: RecordCipher
  ) -> [UInt8] {
    var record = [UInt8](repeating: 0, count: content.count + RecordCipher.overhead)
    #expect(cipher.seal(type, content, content.count, into: &record))
    return record
  }

  /// A reader, and the far end of the connection whose bytes it reads.
  private struct Line {
    let reader: RecordReader
    let far: TestSocket
    private let near: TestSocket

    init(key: [UInt8] = RecordTests.key) throws {
      let (listener, port) = try TestSocket.listener()
      near = try TestSocket.connect(port)
      far = try listener.accept()
      reader = RecordReader(
        descriptor: near.descriptor, cipher: try RecordTests.cipher(key: key))
    }
  }

  /// What `reader` gives, in calls of `size` bytes, until something else than bytes.
  private static func readAll(_ reader: RecordReader, by size: Int) -> ([UInt8], RecordReader.Item)
  {
    var (all, part) = ([UInt8](), [UInt8](repeating: 0, count: size))
    while true {
      reader.noteReadable()
      switch reader.read(into: &part, size) {
      case .bytes(let count): all += part[..<count]
      case let item: return (all, item)
      }
    }
  }

  @Test("A record is that of RFC 8448, byte for byte, and is opened to what was sealed")
  func example() throws {
    #expect(Self.seal(Self.content, by: try Self.cipher()) == Self.record)
    let line = try Line()
    try line.far.send(Self.record)
    #expect(eventually { Self.readAll(line.reader, by: 7).0 == Self.content })
  }

  @Test("A batch comes as it was, however it is cut and taken", arguments: [16, 32])
  func batch(keyLength: Int) throws {
    let key = [UInt8](repeating: 9, count: keyLength)
    let sealer = try Self.cipher(key: key)
    let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: content.count, by: 16_384) {
      bytes += Self.seal([UInt8](content[start..<min(start + 16_384, content.count)]), by: sealer)
    }
    for size in [1, 4, 16_380, 16_384, 65_536] {
      let line = try Line(key: key)
      var (sent, got) = (0, [UInt8]())
      while sent < bytes.count {
        let piece = min(Int.random(in: 1...40_000), bytes.count - sent)
        try line.far.send([UInt8](bytes[sent..<(sent + piece)]))
        sent += piece
        got += Self.readAll(line.reader, by: size).0
      }
      #expect(
        eventually {
          got += Self.readAll(line.reader, by: size).0
          return got == content
        }, "\(size) bytes at a time")
      #expect(line.reader.isEmpty)
    }
  }

  @Test("A record that was changed in any byte, repeated or left out is none")
  func forged() throws {
    let sealer = try Self.cipher()
    let records = [Self.seal([1], by: sealer), Self.seal([2], by: sealer)]
    var attempts = [records[0] + records[0], records[1]]
    for index in records[0].indices {
      var changed = records[0]
      changed[index] ^= 1
      // Of the length's bytes, one makes it wait for more: its end is no record either.
      attempts.append(changed + [UInt8](repeating: 0, count: 17_000))
    }
    for (index, attempt) in attempts.enumerated() {
      let line = try Line()
      try line.far.send(attempt)
      var last = RecordReader.Item.blocked
      let isRefused = eventually {
        let (bytes, item) = Self.readAll(line.reader, by: 100)
        last = item
        #expect(bytes == [] || index == 0 && bytes == [1])
        return if case .violation = item { true } else { false }
      }
      // The header's version is authenticated as the rest is.
      #expect(isRefused, "attempt \(index): \(last)")
    }
  }

  @Test("Padding is taken away, alerts are told, and what is no data ends the tunnel")
  func kinds() throws {
    typealias Kind = RecordCipher.ContentType
    // A record's content with zeros behind its type, as one of type 0.
    let padded = [UInt8]("ab".utf8) + [Kind.applicationData] + [UInt8](repeating: 0, count: 99)
    func outcome(_ content: [UInt8], _ type: UInt8) throws -> ([UInt8], RecordReader.Item) {
      let line = try Line()
      try line.far.send(Self.seal(content, type: type, by: try Self.cipher()))
      var result = ([UInt8](), RecordReader.Item.blocked)
      _ = eventually {
        result = Self.readAll(line.reader, by: 3)
        return if case .blocked = result.1 { !result.0.isEmpty } else { true }
      }
      return result
    }
    #expect(try outcome(padded, 0).0 == [UInt8]("ab".utf8))
    guard case .alert(40) = try outcome([2, 40], Kind.alert).1 else {
      Issue.record("an alert was not told")
      return
    }
    for (content, type): ([UInt8], UInt8) in [
      ([], Kind.applicationData), ([0, 0], 0), ([1], 22), ([1], 20), ([1], Kind.alert),
    ] {
      guard case .violation = try outcome(content, type).1 else {
        Issue.record("type \(type) with \(content) was taken")
        continue
      }
    }
  }
}
