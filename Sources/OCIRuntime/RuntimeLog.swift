import Glibc

/// Where a runtime reports why it failed: standard error, which podman shows, and the file that
/// `--log` names, from which containerd and Docker take the last error.
struct RuntimeLog {
  private var path: String?
  private var isJSON = false

  /// What the options of the runtime's `arguments` say of it.
  init(_ arguments: [String]) {
    var reader = OptionReader(arguments)
    while case .option(let name, let value) = reader.next(valued: RuntimeArguments.globalOptions) {
      if name == "log" { path = value }
      if name == "log-format" { isJSON = value == "json" }
    }
  }

  private static let variable = "ISTBPF_OCI_LOG"

  /// The log that `variables` told this hook of; standard error alone where they did not.
  static var ofHook: RuntimeLog {
    var log = RuntimeLog([])
    (log.path, log.isJSON) = (getenv(variable).map { String(cString: $0) }, true)
    return log
  }

  /// What tells a hook of the log.
  ///
  /// runc repeats what a hook said in its own error, crun does not. But podman takes an error from the
  /// file where that is one, and else shows standard error: so a hook writes to both, as the wrapper
  /// does.
  var variables: [String] {
    guard let path, isJSON, path.hasPrefix("/") else { return [] }
    return ["\(Self.variable)=\(path)"]
  }

  /// Says `text` to whoever reads standard error.
  static func say(_ text: String) { put(text, into: 2) }

  /// Reports `problem`, one line.
  func report(_ problem: String) {
    let line = "istbpf: \(problem)"
    Self.put(line + "\n", into: 2)
    guard let path, !path.isEmpty else { return }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { return }
    Self.put(entry(line, at: Self.now()), into: descriptor)
    close(descriptor)
  }

  /// A line as logrus writes it, which runc and crun imitate or use.
  func entry(_ message: String, at time: String) -> String {
    let message = String(decoding: JSONString.encoded(message), as: UTF8.self)
    return isJSON
      ? "{\"level\":\"error\",\"msg\":\(message),\"time\":\"\(time)\"}\n"
      : "time=\"\(time)\" level=error msg=\(message)\n"
  }

  private static func put(_ text: String, into descriptor: Int32) {
    let bytes = Array(text.utf8)
    _ = write(descriptor, bytes, bytes.count)
  }

  private static func now() -> String {
    var seconds = time(nil)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let length = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: text[..<length].map(UInt8.init), as: UTF8.self)
  }
}
