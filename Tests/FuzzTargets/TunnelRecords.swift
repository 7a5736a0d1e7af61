import CLinux
import Glibc
import Tunnel

/// What comes on a tunnel's socket: from a peer, who has the keys, sealed records of any type and content,
/// and from whoever is in between, bytes that are none.
///
/// The input is a list of pieces: a byte that says what the piece is, one for the size of the reads after
/// it, two for its length, and its bytes.
extension FuzzTarget {
  static let records = FuzzTarget("records", tries: 5000, seeds: recordSeeds) { bytes in
    guard let sealer = cipher(), let opener = cipher() else {
      preconditionFailure("BoringSSL has no memory")
    }
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    precondition(socketpair(AF_UNIX, type, 0, &ends) == 0, "no socket pair: errno \(errno)")
    defer { for end in ends { close(end) } }
    let reader = RecordReader(descriptor: ends[0], cipher: opener)
    // What the reader has to give, as long as nothing but records of data was sent.
    var (expected, got, isOrdinary) = ([UInt8](), [UInt8](), true)
    var rest = bytes[...]
    while let kind = rest.popFirst(), let step = rest.popFirst(), let high = rest.popFirst(),
      let low = rest.popFirst()
    {
      let piece = Array(rest.prefix(min(Int(high) << 8 | Int(low), RecordCipher.maximumContent)))
      rest = rest.dropFirst(piece.count)
      let sent: [UInt8]
      switch kind & 3 {
      case 0:
        sent = seal(piece, RecordCipher.ContentType.applicationData, by: sealer)
        if isOrdinary { expected += piece }
        isOrdinary = isOrdinary && !piece.isEmpty
      case 1:
        // Content with a type of its own at its end, and padding.
        sent = seal(piece, 0, by: sealer)
        isOrdinary = false
      case 2:
        sent = seal(piece, kind >> 2, by: sealer)
        isOrdinary = false
      default:
        sent = piece
        isOrdinary = isOrdinary && piece.isEmpty
      }
      // The socket's buffer has room for more than is read by then.
      precondition(send(ends[1], sent, sent.count, 0) == sent.count || sent.isEmpty)
      guard read(reader, by: Int(step) * 70 + 1, into: &got) else { break }
    }
    precondition(!isOrdinary || got == expected)
    precondition(got.starts(with: expected) || expected.starts(with: got))
  }

  /// Takes what there is; false where it was the last.
  private static func read(_ reader: RecordReader, by size: Int, into all: inout [UInt8]) -> Bool {
    var part = [UInt8](repeating: 0, count: size)
    reader.noteReadable()
    while true {
      switch reader.read(into: &part, size) {
      case .bytes(let count):
        precondition((1...size).contains(count))
        all += part[..<count]
      case .blocked: return true
      case .alert, .violation, .end, .failed: return false
      }
    }
  }

  private static func cipher() -> RecordCipher? {
    var keys = linux_tls_keys()
    keys.key_length = 16
    return RecordCipher(&keys)
  }

  private static func seal(_ content: [UInt8], _ type: UInt8, by cipher: RecordCipher) -> [UInt8] {
    var record = [UInt8](repeating: 0, count: content.count + RecordCipher.overhead)
    precondition(cipher.seal(type, content, content.count, into: &record))
    return record
  }

  private static var recordSeeds: [[UInt8]] {
    func piece(_ kind: UInt8, _ step: UInt8, _ bytes: [UInt8]) -> [UInt8] {
      [kind, step, UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
    }
    let data = piece(0, 0, [1, 2, 3])
    let large = piece(0, 3, [UInt8](repeating: 7, count: 900))
    let alert = RecordCipher.ContentType.alert
    return [
      data + large + data, data + piece(1, 0, [1, 23, 0, 0]) + data,
      data + piece(alert << 2 | 2, 1, [1, 0]), data + piece(3, 0, [23, 3, 3, 0, 17]),
    ]
  }
}
