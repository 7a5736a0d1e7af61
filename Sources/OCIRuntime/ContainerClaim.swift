import Model

/// Which service of which deployment a container says that it is of.
///
/// Annotations come from whoever runs the container; variables may come from the image. Both are
/// claims: the daemon accepts only what has been declared on it.
package struct ContainerClaim: Equatable, Sendable {
  let deployment: DeploymentName
  let service: ServiceName

  static func annotation(_ part: String) -> String { "io.istbpf.\(part)" }
  static func variable(_ part: String) -> String { "WARP_\(part.uppercased())" }

  /// The claim of the container that `specification` describes; nil where it makes none.
  ///
  /// An annotation goes over a variable, and an empty one is none. What only holds the namespaces of a pod makes
  /// no claim: it has the annotations of the pod, which are meant for the pod's container. Throws `InvalidName`, and
  /// `ContainerRefusal.incompleteClaim` where a deployment is named without a service or the other
  /// way round.
  package static func read(from specification: JSONValue, acceptingVariables: Bool) throws
    -> ContainerClaim?
  {
    func part(_ name: String) -> String? {
      if let value = specification["annotations"]?[annotation(name)]?.string, !value.isEmpty {
        return value
      }
      guard acceptingVariables else { return nil }
      let prefix = variable(name) + "="
      let variables = specification["process"]?["env"]?.elements.compactMap(\.string) ?? []
      return variables.last { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        .flatMap { $0.isEmpty ? nil : $0 }
    }
    guard !EngineTraces.isSandbox(specification) else { return nil }
    let (deployment, service) = (part("deployment"), part("service"))
    guard deployment != nil || service != nil else { return nil }
    guard let deployment else { throw ContainerRefusal.incompleteClaim(missing: "deployment") }
    guard let service else { throw ContainerRefusal.incompleteClaim(missing: "service") }
    return ContainerClaim(
      deployment: try DeploymentName(deployment), service: try ServiceName(service))
  }
}
