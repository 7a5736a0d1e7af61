import RelayControl

/// Metrics in Prometheus's text format, version 0.0.4.
///
/// Written here and not by swift-metrics: the values are the kernel's, the relay's and the registry's
/// own, which are read when somebody asks; nothing of them is counted a second time.
struct MetricsText {
  /// What the format calls a type.
  enum Kind: String {
    /// Only goes up, but for a restart of what counts.
    case counter
    case gauge
    /// Counts of durations, by what they took at most.
    case histogram
  }

  /// One value, and what it is of.
  struct Sample {
    let labels: KeyValuePairs<String, String>
    let value: UInt64

    init(_ value: some BinaryInteger, _ labels: KeyValuePairs<String, String> = [:]) {
      (self.value, self.labels) = (UInt64(clamping: value), labels)
    }
  }

  /// The content type that says so.
  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// All that was added.
  private(set) var text = ""

  /// Adds the metric `name`; one without samples is left out.
  mutating func add(_ kind: Kind, _ name: String, _ help: String, _ samples: [Sample]) {
    guard !samples.isEmpty else { return }
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
    for sample in samples {
      let labels = sample.labels.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",")
      text += name + (labels.isEmpty ? "" : "{\(labels)}") + " \(sample.value)\n"
    }
  }

  /// Adds the metric `name`, which has one value.
  mutating func add(_ kind: Kind, _ name: String, _ help: String, _ value: some BinaryInteger) {
    add(kind, name, help, [Sample(value)])
  }

  /// Adds the histogram `name` of durations in seconds, one for each set of labels.
  mutating func add(
    _ name: String, _ help: String,
    _ histograms: [(labels: KeyValuePairs<String, String>, counted: DurationHistogram.Snapshot)]
  ) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(Kind.histogram)\n"
    for (labels, counted) in histograms {
      let own = labels.map { "\($0)=\"\(Self.escaped($1))\"," }.joined()
      for (index, count) in counted.cumulative.enumerated() {
        let bound = index < counted.bounds.count ? "\(counted.bounds[index])" : "+Inf"
        text += "\(name)_bucket{\(own)le=\"\(bound)\"} \(count)\n"
      }
      let whole = own.isEmpty ? "" : "{\(own.dropLast())}"
      text += "\(name)_sum\(whole) \(counted.sum)\n"
      text += "\(name)_count\(whole) \(counted.cumulative.last ?? 0)\n"
    }
  }

  private static func escaped(_ value: String) -> String {
    value.reduce(into: "") { result, character in
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.append(character)
      }
    }
  }
}
