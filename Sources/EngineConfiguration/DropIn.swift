/// A file of our own in a directory that the engine reads beside its configuration.
struct DropIn: RuntimeEditor {
  let engine: ConfigurableEngine
  let contents: @Sendable (RuntimeEntry) -> String

  private var header: String {
    "# Written by istbpf runtime configure; istbpf runtime configure --engine \(engine.rawValue) --undo removes it.\n"
  }

  func adding(_ runtime: RuntimeEntry, to text: String?) throws(ConfigurationProblem) -> String? {
    try check(text)
    return header + contents(runtime)
  }

  func removing(from text: String?) throws(ConfigurationProblem) -> String? {
    try check(text)
    return nil
  }

  private func check(_ text: String?) throws(ConfigurationProblem) {
    guard let text, !text.hasPrefix(header) else { return }
    throw ConfigurationProblem(
      "it was not written by istbpf runtime configure, which replaces such a file whole: move it away, or name another "
        + "with --config-file")
  }

  /// containers.conf(5).
  static func podman(_ runtime: RuntimeEntry) -> String {
    """
    \(runtime.isDefault ? "[engine]\nruntime = \"\(RuntimeEntry.name)\"\n\n" : "")\
    [engine.runtimes]
    \(RuntimeEntry.name) = [\(quotedTOML(runtime.path))]

    """
  }

  /// crio.conf(5).
  static func crio(_ runtime: RuntimeEntry) -> String {
    """
    \(runtime.isDefault ? "[crio.runtime]\ndefault_runtime = \"\(RuntimeEntry.name)\"\n\n" : "")\
    [crio.runtime.runtimes.\(RuntimeEntry.name)]
    runtime_path = \(quotedTOML(runtime.path))
    runtime_type = "oci"
    runtime_root = "/run/runc"

    """
  }
}

/// `text` as a basic string of TOML.
func quotedTOML(_ text: String) -> String {
  var quoted = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": quoted += "\\\(scalar)"
    case "\u{0}"..."\u{1f}", "\u{7f}":
      let digits = String(scalar.value, radix: 16)
      quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: quoted.unicodeScalars.append(scalar)
    }
  }
  return quoted + "\""
}
