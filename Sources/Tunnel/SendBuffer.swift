import CLinux
import CBoringSSL
import Glibc
import SystemPackage

/// What a tunnel has to send and the socket has not taken yet: the handshake's flights, records that
/// were sealed here, or with kernel TLS plain bytes.
///
/// Several records of 16 KiB go by one system call. The memory exists only while something waits in it.
final class SendBuffer {
  /// The most that may wait: a batch, sealed, and some frames without payload behind it.
  static let capacity =
    TunnelChannel.batch / RecordCipher.maximumContent
    * (RecordCipher.maximumContent + RecordCipher.overhead) + 16_384

  private let descriptor: Int32
  private var storage: UnsafeMutableRawPointer?
  private var start = 0
  private var end = 0
  /// The socket's error, after which nothing more is sent.
  private(set) var failure: Errno?

  init(descriptor: Int32) { self.descriptor = descriptor }
  deinit { storage?.deallocate() }

  /// Whether everything has been sent.
  var isEmpty: Bool { start == end }

  /// What waits.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: storage.map { $0 + start }, count: end - start)
  }

  /// Takes `count` bytes, all or none; false where they do not fit.
  func append(_ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
    guard let place = makeRoom(count) else { return false }
    memcpy(place, bytes, count)
    end += count
    return true
  }

  /// Takes `count` bytes as records that `cipher` makes of them, all or none; false where they do not
  /// fit, or the cipher fails.
  func append(_ bytes: UnsafeRawPointer, _ count: Int, type: UInt8, by cipher: RecordCipher) -> Bool
  {
    let most = RecordCipher.maximumContent
    let records = (count + most - 1) / most
    guard var place = makeRoom(count + records * RecordCipher.overhead) else { return false }
    for offset in stride(from: 0, to: count, by: most) {
      let content = min(most, count - offset)
      guard cipher.seal(type, bytes + offset, content, into: place) else { return false }
      place += content + RecordCipher.overhead
    }
    end += count + records * RecordCipher.overhead
    return true
  }

  /// Where `count` bytes more would be, for which there is room then; nil where they do not fit.
  private func makeRoom(_ count: Int) -> UnsafeMutableRawPointer? {
    if Self.capacity - end < count {
      guard let storage, Self.capacity - (end - start) >= count else { return nil }
      memmove(storage, storage + start, end - start)
      (start, end) = (0, end - start)
    }
    let storage = storage ?? .allocate(byteCount: Self.capacity, alignment: 64)
    self.storage = storage
    return storage + end
  }

  /// Sends what the socket takes; whether that is all.
  func flush() -> Bool {
    guard let storage else { return true }
    while start < end {
      let sent = linux_send(descriptor, storage + start, UInt64(end - start), 0)
      if sent < 0 {
        let error = Errno.last
        if error == .interrupted { continue }
        if error != .resourceTemporarilyUnavailable { failure = error }
        return false
      }
      start += Int(sent)
    }
    storage.deallocate()
    (self.storage, start, end) = (nil, 0, 0)
    return true
  }

  // MARK: - As BoringSSL's BIO

  /// A BIO that writes to this buffer, which must outlive it; nil without memory.
  func makeBIO() -> OpaquePointer? {
    guard let bio = BIO_new(Self.method) else { return nil }
    BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
    BIO_set_init(bio, 1)
    return bio
  }

  private static func of(_ bio: OpaquePointer?) -> SendBuffer? {
    BIO_get_data(bio).map { Unmanaged<SendBuffer>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Unsafe only in name: BoringSSL does not change a BIO's method.
  private nonisolated(unsafe) static let method: OpaquePointer? = {
    let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "send buffer")
    BIO_meth_set_write(method) { bio, bytes, count in
      guard let buffer = SendBuffer.of(bio), let bytes, count > 0 else { return -1 }
      if buffer.append(bytes, Int(count)) { return count }
      BIO_set_retry_write(bio)
      return -1
    }
    BIO_meth_set_ctrl(method) { bio, command, _, _ in
      guard command == BIO_CTRL_FLUSH, let buffer = SendBuffer.of(bio) else { return 0 }
      // The handshake flushes after each flight. What the socket does not take now is sent when it
      // becomes writable.
      _ = buffer.flush()
      return 1
    }
    return method
  }()
}
