import ControlAPI
import Model

extension Istbpf_Control_V1_GetStatusResponse {
  /// All deployments, or the one that was asked for. Throws where nothing has its name.
  func deployments(named name: String?) throws -> [Istbpf_Control_V1_DeploymentStatus] {
    guard let name else { return deployments }
    let found = deployments.filter { $0.name == name }
    guard !found.isEmpty else {
      throw UnknownDeployment(name, among: deployments.map(\.name))
    }
    return found
  }
}

/// A deployment that was asked for, and nothing has its name.
struct UnknownDeployment: Error, CustomStringConvertible {
  let description: String

  init(_ name: String, among known: [String]) {
    let near = nearest(to: name, among: known).map { "; did you mean \(quoted($0))?" }
    description = "deployment \(quoted(name)) is not declared\(near ?? "")"
  }
}
