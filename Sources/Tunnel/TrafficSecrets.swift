import CLinux
import CBoringSSL
import Glibc

/// The secrets of TLS 1.3's application data, as BoringSSL tells them during the handshake.
///
/// They stay in this memory, which is not copied, and is zeroed as soon as the keys are made.
final class TrafficSecrets {
  /// Whose sending they are for.
  enum Side: Int { case client, server }

  private static let capacity = 48  // SHA-384
  private let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * capacity, alignment: 8)
  private var lengths = [0, 0]

  init() { bytes.initializeMemory(as: UInt8.self, repeating: 0) }

  deinit {
    erase()
    bytes.deallocate()
  }

  /// Zeroes both secrets.
  func erase() {
    OPENSSL_cleanse(bytes.baseAddress, bytes.count)
    lengths = [0, 0]
  }

  /// BoringSSL's key log callback: a line is `LABEL <client random> <secret>`, both in hexadecimal.
  /// BoringSSL zeroes the line itself.
  static let callback: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?) -> Void = {
    connection, line in
    guard let connection, let line, let handshake = HandshakeState.of(connection) else { return }
    let isClient = strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0
    guard isClient || strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) == 0,
      let last = strrchr(line, Int32(UInt8(ascii: " ")))
    else { return }
    handshake.secrets.take(hexadecimal: last + 1, for: isClient ? .client : .server)
  }

  private func take(hexadecimal text: UnsafePointer<CChar>, for side: Side) {
    let length = strlen(text) / 2
    guard length == 32 || length == 48 else { return }
    for index in 0..<length {
      guard let high = Self.digit(text[2 * index]), let low = Self.digit(text[2 * index + 1]) else {
        return
      }
      bytes[side.rawValue * Self.capacity + index] = high << 4 | low
    }
    lengths[side.rawValue] = length
  }

  private static func digit(_ character: CChar) -> UInt8? {
    switch UInt8(bitPattern: character) {
    case let byte where (0x30...0x39).contains(byte): byte - 0x30
    case let byte where (0x61...0x66).contains(byte): byte - 0x61 + 10
    case let byte where (0x41...0x46).contains(byte): byte - 0x41 + 10
    default: nil
    }
  }

  /// Calls `body` with the keys of what `side` sends (RFC 8446 7.3), with a key of `keyLength`
  /// bytes; nil where the secret is not known. The keys are zeroed afterwards.
  func withKeys<Value>(
    of side: Side, keyLength: Int, _ body: (UnsafePointer<linux_tls_keys>) -> Value
  ) -> Value? {
    var keys = linux_tls_keys()
    defer { OPENSSL_cleanse(&keys, MemoryLayout<linux_tls_keys>.size) }
    keys.key_length = UInt32(keyLength)
    guard
      withUnsafeMutableBytes(
        of: &keys.key, { expand(side, "key", into: .init(rebasing: $0[..<keyLength])) }),
      withUnsafeMutableBytes(of: &keys.iv, { expand(side, "iv", into: $0) })
    else { return nil }
    return body(&keys)
  }

  /// HKDF-Expand-Label (RFC 8446 7.1) with an empty context.
  private func expand(
    _ side: Side, _ label: String, into output: UnsafeMutableRawBufferPointer
  ) -> Bool {
    let length = lengths[side.rawValue]
    guard length > 0, let secrets = bytes.baseAddress else { return false }
    let name = Array("tls13 \(label)".utf8)
    let info = [UInt8(0), UInt8(output.count), UInt8(name.count)] + name + [0]
    return HKDF_expand(
      output.baseAddress, output.count, length == 32 ? EVP_sha256() : EVP_sha384(),
      secrets + side.rawValue * Self.capacity, length, info, info.count) == 1
  }
}
