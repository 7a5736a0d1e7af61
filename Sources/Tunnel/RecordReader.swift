import CLinux
import Glibc
import SystemPackage

/// Reads and opens the records that come on a tunnel's socket, in this process.
///
/// One read takes several records; the memory exists only while something waits in it.
package final class RecordReader {
  /// What a call has come to.
  package enum Item {
    /// So many bytes of the stream, at least one.
    case bytes(Int)
    /// Nothing until the socket is readable.
    case blocked
    /// The peer sent this alert (RFC 8446 6).
    case alert(UInt8)
    /// The socket has come to its end.
    case end
    /// A system call failed.
    case failed(Errno)
    /// The peer broke the protocol.
    case violation(String)
  }

  /// Room for a batch of the largest records, and for the beginning of one more.
  private static let capacity = TunnelChannel.batch + RecordCipher.maximumContent

  private let descriptor: Int32
  let cipher: RecordCipher
  private var storage: UnsafeMutableRawPointer?
  /// What has been read and not opened.
  private var sealed = 0..<0
  /// What has been opened in its place and not taken. It is in front of `sealed`.
  private var opened = 0..<0
  /// Whether the last read got less than it asked for, so that the socket is empty (epoll(7)).
  private var isDrained = false
  /// Whether the peer has ended the connection: then a short read is no sign that nothing follows.
  var hasEnd = false

  package init(descriptor: Int32, cipher: RecordCipher) {
    (self.descriptor, self.cipher) = (descriptor, cipher)
  }

  deinit { storage?.deallocate() }

  /// Whether nothing waits here to be taken.
  package var isEmpty: Bool { storage == nil }

  // MARK: - In another process

  /// What has been opened and not taken, and what has been read and not opened.
  var waiting: (opened: UnsafeRawBufferPointer, sealed: UnsafeRawBufferPointer) {
    let all = UnsafeRawBufferPointer(start: storage, count: sealed.upperBound)
    guard storage != nil else { return (all, all) }
    return (.init(rebasing: all[opened]), .init(rebasing: all[sealed]))
  }

  /// Goes on where another process was; false where there is more than it can have had. For one that has read nothing.
  func restore(opened: some Collection<UInt8>, sealed: some Collection<UInt8>) -> Bool {
    let count = opened.count + sealed.count
    guard count <= Self.capacity else { return false }
    guard count > 0 else { return true }
    let storage = UnsafeMutableRawPointer.allocate(byteCount: Self.capacity, alignment: 64)
    let bytes = UnsafeMutableRawBufferPointer(start: storage, count: count)
    bytes.copyBytes(from: opened)
    UnsafeMutableRawBufferPointer(rebasing: bytes[opened.count...]).copyBytes(from: sealed)
    (self.storage, self.opened, self.sealed) = (storage, 0..<opened.count, opened.count..<count)
    return true
  }

  // MARK: - Reading

  /// More may have come on the socket.
  package func noteReadable() { isDrained = false }

  /// Takes up to `count` bytes, at least 1. The others of the `count` may be written to as well.
  package func read(into bytes: UnsafeMutableRawPointer, _ count: Int) -> Item {
    while true {
      if !opened.isEmpty { return .bytes(take(bytes, count)) }
      if let item = openNext(into: bytes, count) { return item }
      // It was opened in its place.
      if !opened.isEmpty { continue }
      if let item = fill() { return item }
    }
  }

  private func take(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    guard let storage else { return 0 }
    let taken = min(count, opened.count)
    bytes.copyMemory(from: storage + opened.lowerBound, byteCount: taken)
    opened = (opened.lowerBound + taken)..<opened.upperBound
    releaseIfEmpty()
    return taken
  }

  /// Opens the next record into `bytes`, or in its place where there is no room for its content and
  /// type; nil where it was, or is not there as a whole.
  private func openNext(into bytes: UnsafeMutableRawPointer, _ count: Int) -> Item? {
    guard let storage, sealed.count >= RecordCipher.headerSize else { return nil }
    let record = storage + sealed.lowerBound
    let size = Int(record.loadUnaligned(fromByteOffset: 3, as: UInt16.self).bigEndian)
    let content = size - (RecordCipher.overhead - RecordCipher.headerSize)
    guard record.load(as: UInt8.self) == RecordCipher.ContentType.applicationData,
      (0...RecordCipher.maximumContent).contains(content)
    else { return .violation("it sent what is no record of TLS 1.3") }
    guard sealed.count >= RecordCipher.headerSize + size else { return nil }
    let place = record + RecordCipher.headerSize
    let isDirect = content < count
    guard let result = cipher.open(record, size, into: isDirect ? bytes : place) else {
      return .violation("a record was forged or damaged")
    }
    let start = sealed.lowerBound + RecordCipher.headerSize
    sealed = (start + size)..<sealed.upperBound
    defer { releaseIfEmpty() }
    switch result.type {
    // One without content would let a peer keep this thread busy with nothing.
    case RecordCipher.ContentType.applicationData where result.count > 0:
      if isDirect { return .bytes(result.count) }
      opened = start..<(start + result.count)
      return nil
    case RecordCipher.ContentType.alert where result.count == 2:
      return .alert((isDirect ? bytes : place).load(fromByteOffset: 1, as: UInt8.self))
    default: return .violation("it sent a record of type \(result.type)")
    }
  }

  /// Reads what the socket has, as far as there is room; nil where that is something.
  private func fill() -> Item? {
    if isDrained, !hasEnd {
      isDrained = false
      return .blocked
    }
    let storage = storage ?? .allocate(byteCount: Self.capacity, alignment: 64)
    self.storage = storage
    if sealed.lowerBound > 0 {
      memmove(storage, storage + sealed.lowerBound, sealed.count)
      (sealed, opened) = (0..<sealed.count, 0..<0)
    }
    let room = Self.capacity - sealed.count
    let received = linux_receive(descriptor, storage + sealed.upperBound, UInt64(room), 0)
    guard received > 0 else {
      let error = Errno.last
      releaseIfEmpty()
      if received == 0 { return .end }
      return error == .resourceTemporarilyUnavailable || error == .interrupted
        ? .blocked : .failed(error)
    }
    sealed = 0..<(sealed.count + Int(received))
    isDrained = received < room
    return nil
  }

  private func releaseIfEmpty() {
    guard sealed.isEmpty, opened.isEmpty else { return }
    storage?.deallocate()
    (storage, sealed, opened) = (nil, 0..<0, 0..<0)
  }
}
