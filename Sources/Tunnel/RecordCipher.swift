import CBoringSSL
import CLinux
import Glibc

/// What seals or opens the records of one direction in this process: TLS 1.3 with AES-GCM
/// (RFC 8446 5.2 and 5.3), by BoringSSL's cipher.
///
/// BoringSSL's own record layer would copy every byte three times more on its way through two relays:
/// into its buffer and from there into ours as it is sealed, and out of its buffer as it is opened.
package final class RecordCipher {
  /// What a record holds (RFC 8446 5.1).
  package enum ContentType {
    package static let alert: UInt8 = 21
    package static let applicationData: UInt8 = 23
  }

  /// The bytes of a record's header.
  static let headerSize = 5
  /// The bytes of a record beside its content: the header, the content's type and the tag.
  package static let overhead = headerSize + 1 + tagSize
  /// The most bytes of content in one record, padding included.
  package static let maximumContent = 16_384
  private static let tagSize = Int(boringssl_aead_tag_size)
  private static let ivSize = Int(boringssl_aead_nonce_size)

  private let aead: OpaquePointer
  /// The keys, for another process that goes on with them.
  let keys: UnsafeMutablePointer<linux_tls_keys>
  /// The nonce that is made of the iv and a record's number.
  private let nonce: UnsafeMutableRawPointer
  private let iv: UnsafeRawPointer
  /// The number of the next record.
  private(set) var number: UInt64

  /// Begins with record `number`. Nil where BoringSSL has no memory.
  package init?(_ keys: UnsafePointer<linux_tls_keys>, number: UInt64 = 0) {
    guard let key = MemoryLayout<linux_tls_keys>.offset(of: \.key),
      let iv = MemoryLayout<linux_tls_keys>.offset(of: \.iv),
      let aead = boringssl_aead_new(UnsafeRawPointer(keys) + key, Int(keys.pointee.key_length))
    else { return nil }
    (self.aead, self.number) = (aead, number)
    self.keys = .allocate(capacity: 1)
    nonce = .allocate(byteCount: Self.ivSize, alignment: 8)
    self.keys.initialize(to: keys.pointee)
    self.iv = UnsafeRawPointer(self.keys) + iv
  }

  deinit {
    boringssl_aead_free(aead)
    explicit_bzero(keys, MemoryLayout<linux_tls_keys>.size)
    explicit_bzero(nonce, Self.ivSize)
    keys.deallocate()
    nonce.deallocate()
  }

  /// Seals `count` bytes, at most `maximumContent`, as a record that is made at `record`, where there
  /// is room for `overhead` bytes more; false where BoringSSL fails.
  package func seal(
    _ type: UInt8, _ content: UnsafeRawPointer, _ count: Int, into record: UnsafeMutableRawPointer
  ) -> Bool {
    record.storeBytes(of: (23, 3, 3), as: (UInt8, UInt8, UInt8).self)
    record.storeBytes(
      of: UInt16(count + 1 + Self.tagSize).bigEndian, toByteOffset: 3, as: UInt16.self)
    return boringssl_aead_seal(
      aead, record + Self.headerSize, nextNonce(), content, count, type, record, Self.headerSize)
      == 1
  }

  /// What opening a record has come to: the content's type and size, padding taken away.
  typealias Opened = (type: UInt8, count: Int)

  /// Opens the record at `record`, whose body is `bodySize` bytes, at least `overhead - headerSize`,
  /// and at most `maximumContent` more. The content is written to `content`, which may be the body's
  /// own place and else has room for all of the body but the tag: one byte more than the content.
  /// Nil where the record was forged or damaged.
  func open(
    _ record: UnsafeMutableRawPointer, _ bodySize: Int, into content: UnsafeMutableRawPointer
  ) -> Opened? {
    var count = bodySize - Self.tagSize
    guard
      boringssl_aead_open(
        aead, content, nextNonce(), record + Self.headerSize, count, record, Self.headerSize) == 1
    else { return nil }
    // Behind the content is its type, and behind that may be padding: zeros, which are no type.
    while count > 0 {
      count -= 1
      let type = content.load(fromByteOffset: count, as: UInt8.self)
      if type != 0 { return (type, count) }
    }
    return nil
  }

  /// The nonce of the next record (RFC 8446 5.3).
  private func nextNonce() -> UnsafeRawPointer {
    nonce.copyMemory(from: iv, byteCount: Self.ivSize)
    let low = nonce.loadUnaligned(fromByteOffset: 4, as: UInt64.self) ^ number.bigEndian
    nonce.storeBytes(of: low, toByteOffset: 4, as: UInt64.self)
    number &+= 1
    return UnsafeRawPointer(nonce)
  }
}
