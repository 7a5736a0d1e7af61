/// What to measure; the text of it is one line of standard input.
enum Order {
  /// Writes of so many bytes, as many as go, on so many connections at once.
  case bulk(seconds: Double, bytes: Int, streams: Int)
  /// So many bytes there and back, one exchange after the other.
  case roundTrip(seconds: Double, bytes: Int)
  /// Connections, so many at once, each followed by another.
  case connect(seconds: Double, atOnce: Int)
  /// The same, but only how long connect() takes.
  case connectTime(seconds: Double)
  /// So many connections, one after the other, all of which stay open until the last one is there.
  case stay(connections: Int)
  /// The same, all at once.
  case burst(connections: Int)

  /// Parses a line; nil where it is none.
  init?(_ line: String) {
    let words = line.split(separator: " ")
    if words.count == 2, let connections = Int(words[1]), (1...8192).contains(connections) {
      switch words[0] {
      case "stay": self = .stay(connections: connections); return
      case "burst": self = .burst(connections: connections); return
      default: break
      }
    }
    guard words.count >= 2, let seconds = Double(words[1]), seconds > 0 else { return nil }
    let numbers = words.dropFirst(2).compactMap { Int($0) }.filter { $0 > 0 }
    guard numbers.count == words.count - 2 else { return nil }
    switch (words[0], numbers.count) {
    case ("bulk", 2) where numbers[1] <= Server.connections:
      self = .bulk(seconds: seconds, bytes: numbers[0], streams: numbers[1])
    case ("round-trip", 1): self = .roundTrip(seconds: seconds, bytes: numbers[0])
    case ("connect", 0): self = .connect(seconds: seconds, atOnce: 1)
    case ("connect", 1) where numbers[0] <= Server.connections:
      self = .connect(seconds: seconds, atOnce: numbers[0])
    case ("connect-time", 0): self = .connectTime(seconds: seconds)
    default: return nil
    }
  }
}

/// The first byte of a connection says what the server does with it; one that says nothing is closed.
enum Service: UInt8 {
  /// Reads to the end, then answers with the number of bytes, eight in host byte order.
  case discard = 0x64
  /// Sends back what comes.
  case echo = 0x65
  /// Sends a byte and closes.
  case greet = 0x67
  /// Sends a byte, and closes when the client does.
  case hold = 0x68
}

/// What was measured.
struct Measurement {
  let name: String
  let value: Double
  let unit: String
  /// What the value was computed from: bytes, exchanges or connections, and how long they took.
  let count: Int
  let nanoseconds: UInt64
  /// Latencies at these percentiles, nanoseconds; empty where there are none.
  var percentiles: [(percent: Int, nanoseconds: UInt32)] = []

  var json: String {
    let percentiles = percentiles.map { "\"\($0.percent)\": \($0.nanoseconds)" }
      .joined(separator: ", ")
    return """
      {"measurement": "\(name)", "value": \(value), "unit": "\(unit)", "count": \(count), \
      "nanoseconds": \(nanoseconds), "percentiles": {\(percentiles)}}
      """
  }
}
