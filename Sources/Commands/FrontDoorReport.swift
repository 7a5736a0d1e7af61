import ControlAPI

/// The front door, as `istbpf status` shows it.
struct FrontDoorReport: Encodable {
  let domain: String
  /// HAProxy's master process; absent where none runs.
  let pid: Int32?
  /// What is wrong; absent where nothing is.
  let problem: String?

  /// Nil for a runner that has none.
  init?(_ status: Istbpf_Control_V1_GetStatusResponse) {
    guard status.hasFrontDoor else { return nil }
    domain = status.frontDoor.domain
    pid = status.frontDoor.pid == 0 ? nil : status.frontDoor.pid
    problem = status.frontDoor.problem.isEmpty ? nil : status.frontDoor.problem
  }

  /// What to show people.
  var text: String {
    let proxy = pid.map { "haproxy pid \($0)" } ?? "haproxy does not run"
    return "front door \(domain): \(proxy)" + (problem.map { "\nFRONT DOOR: \($0)" } ?? "")
  }
}

extension Istbpf_Control_V1_ServiceStatus {
  /// The service's URL, or in a few words why it has none.
  var urlText: String {
    if `private` { return "private" }
    return url.isEmpty ? (urlProblem.isEmpty ? "-" : "none: \(urlProblem)") : url
  }
}
