/// How the two ends of a case reach each other.
enum Path: String, CaseIterable, Decodable, Sendable {
  /// Two network namespaces and one veth: what the others are compared with.
  case direct
  /// Two instances on one runner.
  case oneRunner = "one runner"
  /// Two instances on two runners.
  case acrossRunners = "across runners"
}
