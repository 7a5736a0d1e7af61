import CBoringSSL

/// Reading PEM text with BoringSSL.
enum PEM {
  /// Calls `body` with each certificate of `text`, which `body` must not keep without a reference of
  /// its own; how many there were, nil where one cannot be read. Throws `body`'s error.
  static func eachCertificate(
    in text: String, _ body: (OpaquePointer) throws -> Void
  ) rethrows -> Int? {
    guard let source = source(text) else { return 0 }
    defer { BIO_free(source) }
    var count = 0
    while let certificate = PEM_read_bio_X509(source, nil, nil, nil) {
      defer { X509_free(certificate) }
      try body(certificate)
      count += 1
    }
    // The end of the text is an error too.
    let error = ERR_peek_last_error()
    guard ERR_GET_LIB(error) == ERR_LIB_PEM, ERR_GET_REASON(error) == PEM_R_NO_START_LINE else {
      return nil
    }
    ERR_clear_error()
    return count
  }

  /// The private key in `text`, to be freed with `EVP_PKEY_free`; nil where there is none.
  static func key(in text: String) -> OpaquePointer? {
    guard let source = source(text) else { return nil }
    defer { BIO_free(source) }
    // An encrypted key has no password here.
    return PEM_read_bio_PrivateKey(source, nil, { _, _, _, _ in 0 }, nil)
  }

  private static func source(_ text: String) -> OpaquePointer? {
    guard let bio = BIO_new(BIO_s_mem()) else { return nil }
    var text = text
    let written = text.withUTF8 { bytes in BIO_write(bio, bytes.baseAddress, Int32(bytes.count)) }
    guard written > 0 else {
      BIO_free(bio)
      return nil
    }
    return bio
  }
}
