/// What `istbpf doctor` looked for, and what came of it.
struct Finding: Encodable {
  enum Verdict: String, Encodable {
    case found
    /// Needed, and not there.
    case missing
    /// There, and in the way.
    case problem
    /// Worth knowing, but nothing is wrong.
    case note

    /// Whether something does not work because of it.
    var isFailure: Bool { self == .missing || self == .problem }

    var style: Terminal.Style {
      switch self {
      case .found: .green
      case .missing, .problem: .red
      case .note: .yellow
      }
    }
  }

  let name: String
  let verdict: Verdict
  let detail: String
  /// What follows from its absence, or from the problem.
  let consequence: String
  /// What to type; nil where nothing is to be done, or only something that no command does.
  var type: String?

  /// Something that is as it should be.
  static func found(_ name: String, _ detail: String) -> Finding {
    Finding(name: name, verdict: .found, detail: detail, consequence: "")
  }

  /// Something that is not.
  static func problem(
    _ name: String, _ detail: String, _ consequence: String, type: String? = nil
  ) -> Finding {
    Finding(name: name, verdict: .problem, detail: detail, consequence: consequence, type: type)
  }

  /// Something to know.
  static func note(
    _ name: String, _ detail: String, _ consequence: String, type: String? = nil
  ) -> Finding {
    Finding(name: name, verdict: .note, detail: detail, consequence: consequence, type: type)
  }
}
