import LinuxSystem
import NIOCore
import NIOPosix
import SwiftProtobuf

/// What istbpfd and that of another runner say to each other on a stream: messages, each behind its length.
struct PeerChannel<Received: Message, Sent: Message>: Sendable {
  private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>

  /// The longest message, in bytes.
  private static var maximum: Int { 8 << 20 }

  /// Hands what comes on `socket`, which is connected and taken over, to `body`, and closes it.
  ///
  /// What comes ends with the stream, or throws where that breaks; what is sent waits for a reader that is slow.
  static func with<Value: Sendable>(
    _ socket: consuming OwnedDescriptor,
    _ body: @Sendable (PeerChannel, PeerMessages<Received>) async throws -> Value
  ) async throws -> Value {
    // One direction may end before the other.
    let bootstrap = ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .channelOption(.allowRemoteHalfClosure, value: true)
    let channel = try await bootstrap.withConnectedSocket(socket.release()) { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandler(
          ByteToMessageHandler(PeerMessageDecoder(maximum: maximum)))
        return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
          wrappingChannelSynchronously: channel,
          configuration: .init(isOutboundHalfClosureEnabled: true))
      }
    }
    return try await channel.executeThenClose { inbound, outbound in
      try await body(PeerChannel(outbound: outbound), PeerMessages(inbound: inbound))
    }
  }

  /// Sends a message. Throws where the stream has ended, or the message is too long.
  func send(_ message: Sent) async throws {
    let bytes: [UInt8] = try message.serializedBytes()
    guard bytes.count <= Self.maximum else { throw MessageTooLong(count: bytes.count) }
    var buffer = ByteBuffer()
    buffer.writeInteger(UInt32(bytes.count))
    buffer.writeBytes(bytes)
    try await outbound.write(buffer)
  }

  /// Says that this was all.
  func finish() { outbound.finish() }

  /// A message that is too long to be sent.
  struct MessageTooLong: Error, CustomStringConvertible {
    let count: Int
    var description: String { "an answer of \(count) bytes is too long" }
  }
}

/// The messages that come.
struct PeerMessages<Received: Message>: Sendable, AsyncSequence {
  fileprivate let inbound: NIOAsyncChannelInboundStream<ByteBuffer>

  struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate var frames: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator

    mutating func next() async throws -> Received? {
      guard let frame = try await frames.next() else { return nil }
      return try Received(serializedBytes: Array(frame.readableBytesView))
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(frames: inbound.makeAsyncIterator()) }
}

/// A message is what its length says. One that is too long ends the stream.
private struct PeerMessageDecoder: NIOSingleStepByteToMessageDecoder {
  /// In bytes.
  let maximum: Int

  mutating func decode(buffer: inout ByteBuffer) throws -> ByteBuffer? {
    guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) else {
      return nil
    }
    guard length <= maximum else { throw TooLong(length: length) }
    return buffer.readLengthPrefixedSlice(as: UInt32.self)
  }

  mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws -> ByteBuffer? {
    try decode(buffer: &buffer)
  }

  private struct TooLong: Error, CustomStringConvertible {
    let length: UInt32
    var description: String { "a message of \(length) bytes is too long" }
  }
}
