/// What the kernel counts of TLS in one network namespace (Documentation/networking/tls.rst).
public struct TLSCounters: Sendable {
  private let counts: [String: Int]

  /// Those of the namespace that the command `enter` leads to; nil where the kernel has no TLS, and so no
  /// /proc/net/tls_stat.
  public init?(by enter: [String]) throws {
    let result = try run(enter + ["cat", "/proc/net/tls_stat"])
    guard result.status == 0 else { return nil }
    counts = Dictionary(
      uniqueKeysWithValues: result.output.split(separator: "\n").compactMap { line in
        let words = line.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let count = Int(words[1]) else { return nil }
        return (String(words[0]), count)
      })
  }

  /// The count of a name as `TlsTxSw`: sessions since the namespace began in which the kernel encrypts
  /// in software.
  public subscript(name: String) -> Int? { counts[name] }
}
