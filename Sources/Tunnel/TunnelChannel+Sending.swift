import CLinux
import SystemPackage

extension TunnelChannel {
  /// What a call to send has come to.
  package enum SendResult: Equatable {
    /// All has been given to the socket.
    case done
    /// Some waits until the socket is writable.
    case blocked
    /// The tunnel is broken.
    case failed(Errno)
  }

  /// Whether all that was appended has been given to the socket.
  package var isFlushed: Bool { buffer.isEmpty }

  /// Gives the socket what waits.
  package func flush() -> SendResult {
    if buffer.isEmpty { return .done }
    if buffer.flush() { return .done }
    return buffer.failure.map(SendResult.failed) ?? .blocked
  }

  /// Takes a few bytes, such as a frame without payload, to be sent by the next `flush`; false where
  /// too much waits already, which only a broken caller can bring about, or the tunnel is broken.
  package func append(_ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { append($0) }
  }

  /// Takes up to a batch of bytes to be sent by the next `flush`; for a channel that is flushed. They
  /// are copied or sealed at once, so that the caller's memory is its own again.
  package func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return true }
    recordsSent += Self.records(bytes.count)
    guard let sealer else { return buffer.append(base, bytes.count) }
    return buffer.append(
      base, bytes.count, type: RecordCipher.ContentType.applicationData, by: sealer)
  }

  /// With kernel TLS, sends the header of a frame whose payload `splice` will bring next, in the same
  /// record; for a channel that is flushed.
  package func sendHeader(_ header: [UInt8]) -> SendResult {
    let sent = linux_send(descriptor, header, UInt64(header.count), 1)
    if sent == header.count { return .done }
    if sent < 0 {
      let error = Errno.last
      return error == .resourceTemporarilyUnavailable || error == .interrupted
        ? .blocked : .failed(error)
    }
    // So few bytes go whole or not at all into the record that they open.
    return .failed(.ioError)
  }

  /// With kernel TLS, moves up to `count` bytes from the pipe into the tunnel; how many, 0 where the
  /// socket takes none now.
  package func splice(from pipe: Int32, _ count: Int) throws(Errno) -> Int {
    let moved = linux_splice(pipe, descriptor, UInt64(count))
    guard moved >= 0 else {
      let error = Errno.last
      // Of a pipe with more in it TCP keeps back what fills no segment, and TLS, which asks itself whether there is
      // room, does not have it sent where there is none: with nothing under way it would stay for ever. This sends it.
      if error == .resourceTemporarilyUnavailable { linux_tcp_no_delay(descriptor) }
      if error == .resourceTemporarilyUnavailable || error == .interrupted { return 0 }
      throw error
    }
    recordsSent += Self.records(Int(moved)) + 1
    return Int(moved)
  }

  /// The records that `count` bytes are at most, where they begin a new one.
  static func records(_ count: Int) -> UInt64 {
    UInt64((count + RecordCipher.maximumContent - 1) / RecordCipher.maximumContent)
  }
}
