import CLinux
import COpenSSL

/// What seals or opens the records of one direction in this process: TLS 1.3 with AES-GCM
/// (RFC 8446 5.2 and 5.3), by OpenSSL's cipher.
///
/// OpenSSL's own record layer would copy every byte three times more on its way through two relays:
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
  private static let tagSize = 16
  private static let ivSize = 12

  private let context: OpaquePointer
  /// The iv, and behind it the nonce that is made of it and a record's number.
  private let iv = UnsafeMutableRawPointer.allocate(byteCount: 2 * ivSize, alignment: 8)
  private var number: UInt64 = 0

  /// Begins with record 0. Nil where OpenSSL has no memory.
  package init?(_ keys: UnsafePointer<linux_tls_keys>, isSealing: Bool) {
    guard let context = EVP_CIPHER_CTX_new(),
      let key = MemoryLayout<linux_tls_keys>.offset(of: \.key),
      let iv = MemoryLayout<linux_tls_keys>.offset(of: \.iv)
    else { return nil }
    self.context = context
    let bytes = UnsafeRawPointer(keys)
    self.iv.copyMemory(from: bytes + iv, byteCount: Self.ivSize)
    let cipher = keys.pointee.key_length == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm()
    let first = (bytes + key).assumingMemoryBound(to: UInt8.self)
    guard EVP_CipherInit_ex(context, cipher, nil, first, nil, isSealing ? 1 : 0) == 1 else {
      return nil
    }
  }

  deinit {
    EVP_CIPHER_CTX_free(context)
    OPENSSL_cleanse(iv, 2 * Self.ivSize)
    iv.deallocate()
  }

  /// Seals `count` bytes, at most `maximumContent`, as a record that is made at `record`, where there
  /// is room for `overhead` bytes more; false where OpenSSL fails.
  package func seal(
    _ type: UInt8, _ content: UnsafeRawPointer, _ count: Int, into record: UnsafeMutableRawPointer
  ) -> Bool {
    let body = count + 1 + Self.tagSize
    record.storeBytes(of: (23, 3, 3), as: (UInt8, UInt8, UInt8).self)
    record.storeBytes(of: UInt16(body).bigEndian, toByteOffset: 3, as: UInt16.self)
    let sealed = record + Self.headerSize
    var type = type
    return begin(record) && update(sealed, content, count) && update(sealed + count, &type, 1)
      && finish(sealed + count + 1)
      && EVP_CIPHER_CTX_ctrl(
        context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagSize), sealed + count + 1) == 1
  }

  /// What opening a record has come to: the content's type and size, padding taken away.
  typealias Opened = (type: UInt8, count: Int)

  /// Opens the record at `record`, whose body is `bodySize` bytes, at least `overhead - headerSize`,
  /// and at most `maximumContent` more. The content is written to `content`, which may be the body's
  /// own place and else has room for all of the body but `overhead - headerSize`. Nil where the
  /// record was forged or damaged: then what was written is not to be used.
  func open(
    _ record: UnsafeMutableRawPointer, _ bodySize: Int, into content: UnsafeMutableRawPointer
  ) -> Opened? {
    let sealed = record + Self.headerSize
    var (count, type) = (bodySize - 1 - Self.tagSize, UInt8(0))
    guard begin(record), update(content, sealed, count), update(&type, sealed + count, 1),
      EVP_CIPHER_CTX_ctrl(
        context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagSize), sealed + count + 1) == 1,
      finish(&type)
    else { return nil }
    // Padding is zeros behind the type, which is none.
    while type == 0, count > 0 {
      count -= 1
      type = content.load(fromByteOffset: count, as: UInt8.self)
    }
    return type == 0 ? nil : (type, count)
  }

  /// Begins the next record: its nonce, and its header as what is authenticated besides.
  private func begin(_ header: UnsafeRawPointer) -> Bool {
    let nonce = iv + Self.ivSize
    nonce.copyMemory(from: iv, byteCount: Self.ivSize)
    let low = nonce.loadUnaligned(fromByteOffset: 4, as: UInt64.self) ^ number.bigEndian
    nonce.storeBytes(of: low, toByteOffset: 4, as: UInt64.self)
    number += 1
    return EVP_CipherInit_ex(
      context, nil, nil, nil, nonce.assumingMemoryBound(to: UInt8.self), -1) == 1
      && update(nil, header, Self.headerSize)
  }

  private func update(
    _ output: UnsafeMutableRawPointer?, _ input: UnsafeRawPointer, _ count: Int
  ) -> Bool {
    // An empty input would be taken for the end.
    guard count > 0 else { return true }
    var made: Int32 = 0
    return EVP_CipherUpdate(
      context, output?.assumingMemoryBound(to: UInt8.self), &made,
      input.assumingMemoryBound(to: UInt8.self), Int32(count)) == 1
  }

  private func finish(_ output: UnsafeMutableRawPointer) -> Bool {
    var made: Int32 = 0
    return EVP_CipherFinal_ex(context, output.assumingMemoryBound(to: UInt8.self), &made) == 1
  }
}
