import LinuxSystem
import Logging

/// Lines for people on standard error. What a line is about stands in its text, so the fields that say it once more for
/// programs are left out.
struct TextLog: LogHandler {
  private var stream: StreamLogHandler

  init(label: String) { stream = .standardError(label: label) }

  func log(event: LogEvent) {
    var event = event
    event.metadata = event.metadata.map(Self.withoutFields)
    stream.log(event: event)
  }

  var logLevel: Logger.Level {
    get { stream.logLevel }
    set { stream.logLevel = newValue }
  }

  var metadata: Logger.Metadata {
    get { stream.metadata }
    set { stream.metadata = Self.withoutFields(newValue) }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { stream[metadataKey: key] }
    set { if !LogField.all.contains(key) { stream[metadataKey: key] = newValue } }
  }

  private static func withoutFields(_ metadata: Logger.Metadata) -> Logger.Metadata {
    metadata.filter { !LogField.all.contains($0.key) }
  }
}

/// Entries in systemd's journal: the line as MESSAGE, and what it is about as ISTBPF_DEPLOYMENT and so on.
struct JournalLog: LogHandler {
  let journal: Journal
  let label: String
  var logLevel = Logger.Level.info
  var metadata: Logger.Metadata = [:]

  func log(event: LogEvent) {
    do {
      try journal.write(fields(of: event))
    } catch {
      // journald is being started again, or the line is too long for one datagram: standard error is
      // connected to it as well.
      StreamLogHandler.standardError(label: label).log(event: event)
    }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func fields(of event: LogEvent) -> [(name: String, value: String)] {
    let all = metadata.merging(event.metadata ?? [:]) { _, own in own }
    // What libraries add has no field of ours, and is a part of the line, as in the text.
    let others = all.filter { !LogField.all.contains($0.key) }.sorted { $0.key < $1.key }
      .map { " \($0.key)=\($0.value)" }.joined()
    let error = event.error.map { ": \($0)" } ?? ""
    return [
      ("MESSAGE", "\(event.message)\(error)\(others)"), ("PRIORITY", "\(event.level.priority)"),
      ("SYSLOG_IDENTIFIER", label), ("CODE_FILE", event.file), ("CODE_LINE", "\(event.line)"),
    ]
      + all.filter { LogField.all.contains($0.key) }.sorted { $0.key < $1.key }
      .map { ("ISTBPF_\($0.key.uppercased())", "\($0.value)") }
  }
}

extension Logger.Level {
  /// As syslog(3) numbers it.
  fileprivate var priority: Int {
    switch self {
    case .trace, .debug: 7
    case .info: 6
    case .notice: 5
    case .warning: 4
    case .error: 3
    case .critical: 2
    }
  }
}
