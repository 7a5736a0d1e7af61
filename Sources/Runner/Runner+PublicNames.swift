import ControlAPI
import FrontDoor
import Model
import Registry

extension Runner {
  /// Refuses declarations whose public name another deployment's service has: what comes later must
  /// not take a name from what is there. Only a runner with a front door looks; one without may
  /// declare both, and then neither is served (`PublicNames`).
  func refuseTakenNames(_ declarations: [ServiceDeclaration], in name: DeploymentName) async throws
  {
    guard configuration.frontDoor != nil else { return }
    let names = PublicNames(among: try await allServices().filter { $0.deployment != name })
    let owners = Dictionary(
      uniqueKeysWithValues: names.all.map { ($0.label, $0.service.id) })
    for declaration in declarations where !declaration.isPrivate {
      guard let label = PublicNames.label(of: declaration.name, in: name), let owner = owners[label]
      else { continue }
      throw RunnerError.publicNameTaken(
        service: "\(name)/\(declaration.name)", label: label, owner: owner)
    }
  }

  /// The public names that there are; nil where this runner has no front door.
  func publicNames() async throws -> PublicNames? {
    guard configuration.frontDoor != nil else { return nil }
    return PublicNames(among: try await allServices())
  }

  private func allServices() async throws -> [Service] {
    var services: [Service] = []
    for deployment in try await registry.deployments() {
      services += try await registry.services(of: deployment.name)
    }
    return services
  }
}

extension Istbpf_Control_V1_ServiceStatus {
  /// Adds the public URL, or why there is none.
  mutating func add(_ names: PublicNames, of service: Service, _ settings: FrontDoorSettings) {
    if let label = names.label(of: service) {
      url = settings.url(ofLabel: label)
    } else if let absence = names.absence(of: service) {
      urlProblem = absence
    }
  }
}
