/// What is sent inside a tunnel: a header of four bytes, and a payload in some.
///
/// The header is a type in the first byte and a number in the other three, in network byte order.
/// The version is the preface's (`StreamPreface.version`).
package enum Frame: Hashable, Sendable {
  /// So many bytes of the stream follow, at least one.
  case data(Int)
  /// The stream's end in this direction: a FIN.
  case end
  /// The stream was broken off with this errno: an RST. It ends the direction, and the receiver
  /// answers with the end of the other. One that comes between two streams means nothing.
  case reset(Int32)
  /// This direction of the stream goes on in the tunnel that a continuation named.
  case move
  /// The runner that accepted asks the one that opened to move the stream, since its key is used up.
  case moveRequest
  /// A `StreamPreface` of so many bytes follows.
  case preface(Int)
  /// A `StreamAnswer` of so many bytes follows.
  case answer(Int)
  /// One byte of the stream that was sent as urgent (MSG_OOB). Only to a runner that says that it knows this.
  case urgent(UInt8)
  /// The runner that accepted has read all of the stream, and its program has been given it: the tunnel is free.
  /// The stream's last frame, only to a runner that waits for it, and only where that one has sent more than
  /// `unconfirmed` bytes.
  case done

  /// The bytes that the runner that accepted always has room for, whether or not its program reads.
  package static let unconfirmed = 8192
  /// The bytes of a header.
  package static let headerSize = 4
  /// The largest number that a header holds.
  package static let maximumNumber = 0xff_ffff

  /// The frame that four bytes say; nil where there is none such.
  package init?(header: UInt32) {
    let number = Int(header & 0xff_ffff)
    switch (header >> 24, number) {
    case (1, 1...): self = .data(number)
    case (2, 0): self = .end
    case (3, _): self = .reset(Int32(number))
    case (4, 0): self = .move
    case (5, 0): self = .moveRequest
    case (6, _): self = .preface(number)
    case (7, _): self = .answer(number)
    case (8, 0...0xff): self = .urgent(UInt8(number))
    case (9, 0): self = .done
    default: return nil
    }
  }

  /// The header as a number, its type the highest byte.
  package var header: UInt32 {
    switch self {
    case .data(let count): 1 << 24 | UInt32(count)
    case .end: 2 << 24
    case .reset(let errno): 3 << 24 | UInt32(errno & 0xff_ffff)
    case .move: 4 << 24
    case .moveRequest: 5 << 24
    case .preface(let count): 6 << 24 | UInt32(count)
    case .answer(let count): 7 << 24 | UInt32(count)
    case .urgent(let byte): 8 << 24 | UInt32(byte)
    case .done: 9 << 24
    }
  }

  /// The header's bytes.
  package var bytes: [UInt8] {
    let header = header
    return [
      UInt8(header >> 24), UInt8(header >> 16 & 0xff), UInt8(header >> 8 & 0xff),
      UInt8(header & 0xff),
    ]
  }
}
