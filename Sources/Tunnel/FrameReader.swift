/// Reads the headers of a tunnel's frames, and the messages that some announce: never a byte more,
/// since what follows may be for `splice`.
package struct FrameReader {
  /// What has been read.
  package enum Item {
    /// A frame; of a message the header only.
    case frame(Frame)
    /// A message whose header came before.
    case message([UInt8])
    /// Nothing until the tunnel is readable.
    case blocked
    /// The tunnel has ended; `inside` says whether in the midst of a frame.
    case ended(TunnelError, inside: Bool)
  }

  private var header: UInt32 = 0
  private var headerCount = 0
  private var message: [UInt8]?
  private var messageCount = 0

  package init() {}

  /// Whether part of a header or message has come.
  package var isInside: Bool { headerCount > 0 || message != nil }

  /// The beginning of a header that has come, for another process that goes on with it; nil where it is a message that
  /// has begun.
  package var beginning: (header: UInt32, count: Int)? {
    message == nil ? (header, headerCount) : nil
  }

  /// Goes on with the first `count` bytes of a header, which are `header`; nil where that is no beginning of one.
  package init?(beginning header: UInt32, count: Int) {
    guard (0..<Frame.headerSize).contains(count) else { return nil }
    (self.header, headerCount) = (header, count)
  }

  /// The next header, or the message that `expectMessage` announced.
  package mutating func next(from channel: TunnelChannel) -> Item {
    message != nil ? nextMessage(from: channel) : nextHeader(from: channel)
  }

  /// Has the next item be the message of `count` bytes, at least 1.
  package mutating func expectMessage(_ count: Int) {
    message = [UInt8](repeating: 0, count: count)
    messageCount = 0
  }

  private mutating func nextHeader(from channel: TunnelChannel) -> Item {
    while headerCount < Frame.headerSize {
      var bytes: UInt32 = 0
      switch channel.receive(into: &bytes, Frame.headerSize - headerCount) {
      case .blocked: return .blocked
      case .ended(let error): return .ended(error, inside: headerCount > 0)
      case .bytes(let count):
        let arrived = UInt32(bigEndian: bytes) >> UInt32(32 - 8 * count)
        header = count == 4 ? arrived : header << UInt32(8 * count) | arrived
        headerCount += count
      }
    }
    headerCount = 0
    guard let frame = Frame(header: header) else {
      let error = TunnelError.ended(
        .protocolViolation, peer: channel.peer.runner.name,
        "it sent the header 0x\(String(header, radix: 16)), which is no frame's")
      return .ended(error, inside: true)
    }
    return .frame(frame)
  }

  private mutating func nextMessage(from channel: TunnelChannel) -> Item {
    guard var bytes = message.take() else { return .blocked }
    while messageCount < bytes.count {
      let done = messageCount
      let result = bytes.withUnsafeMutableBytes { buffer in
        channel.receive(into: buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done)
      }
      switch result {
      case .blocked:
        message = bytes
        return .blocked
      case .ended(let error): return .ended(error, inside: true)
      case .bytes(let count): messageCount += count
      }
    }
    return .message(bytes)
  }
}
