/// How long a service may be silent while a request of its public URL is under way: 1 s to a day.
///
/// Silent is a service that sends nothing of its answer, so it bounds a long poll as a whole, and the
/// pauses of a stream.
public struct RequestTimeout: Hashable, Sendable {
  /// The timeout of a service that names none.
  public static let standard = RequestTimeout(validated: 60)

  /// The values that there are, in seconds.
  public static let allowed = 1...86_400

  /// Whole seconds.
  public let seconds: Int

  private init(validated: Int) { seconds = validated }

  /// The timeout of so many seconds; nil outside of `allowed`.
  public init?(seconds: Int) {
    guard Self.allowed.contains(seconds) else { return nil }
    self.seconds = seconds
  }
}

extension RequestTimeout: Codable {
  /// A timeout from a single number. Throws what the decoder throws, also for one that is not allowed.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let seconds = try container.decode(Int.self)
    guard let timeout = RequestTimeout(seconds: seconds) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "\(seconds) s is no timeout")
    }
    self = timeout
  }

  /// The timeout as a single number, in seconds. Throws what the encoder throws.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(seconds)
  }
}
