/// How many records one key may seal before its tunnel is left.
public struct KeyUsageLimit: Hashable, Sendable {
  /// The most records with one key.
  ///
  /// RFC 8446 5.5 has 2^24.5 full records as AES-GCM's limit; 2^24 of them are 256 GiB.
  public static let standard = KeyUsageLimit(records: 1 << 24)

  /// The most records with one key.
  public let records: UInt64

  /// A limit of `records`, at least 32, for tests to be small.
  public init(records: UInt64) { self.records = max(records, 32) }

  /// From where on a stream should move to a fresh tunnel, and a tunnel gets no new stream.
  package func isNear(_ used: UInt64) -> Bool { used >= records - records / 4 }

  /// Whether a batch more could pass the limit: then nothing is sealed until the stream has moved.
  /// A batch is at most 9 records, or with kernel TLS 2 for every splice.
  package func isReached(_ used: UInt64) -> Bool { used + 12 > records }
}
