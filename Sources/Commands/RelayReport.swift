import ControlAPI
import Foundation

/// istbpf-relay, as `istbpf status` shows it.
struct RelayReport: Encodable {
  /// 0 where there is none.
  let pid: Int32
  let version: String
  /// Seconds since 1970.
  let startedAt: Int64
  /// What is wrong; empty where nothing is.
  let problem: String
  /// Those whose place it has taken, and which carry something still.
  let leaving: [Int32]

  /// Nil where none is needed.
  init?(_ status: Istbpf_Control_V1_GetStatusResponse) {
    guard status.hasRelay else { return nil }
    let message = status.relay
    (pid, version, startedAt, problem) = (
      message.pid, message.version, message.startedAt, message.problem
    )
    leaving = message.leaving
  }

  /// A line for people.
  var text: String {
    guard problem.isEmpty else { return "istbpf-relay: NOT THERE: \(problem)" }
    let since = Date(timeIntervalSince1970: TimeInterval(startedAt)).formatted(.iso8601)
    let former = leaving.map { "\($0)" }.joined(separator: ", ")
    return "istbpf-relay \(version), pid \(pid), since \(since)"
      + (leaving.isEmpty ? "" : "; pid \(former) carries on with what it has not passed on")
  }
}
