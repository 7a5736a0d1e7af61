import ArgumentParser

/// A service on the command line: `D/S`.
struct ServiceReference: ExpressibleByArgument {
  let deployment: String
  let service: String

  init(deployment: String, service: String) {
    (self.deployment, self.service) = (deployment, service)
  }

  init?(argument: String) {
    // A deployment's name has no slash, so the first one is the separator.
    guard let slash = argument.firstIndex(of: "/") else { return nil }
    deployment = String(argument[..<slash])
    service = String(argument[argument.index(after: slash)...])
    guard !deployment.isEmpty, !service.isEmpty else { return nil }
  }
}

/// A service on the command line: `D/S`, or `S` alone where the option -d names the deployment.
struct ServiceArgument: ExpressibleByArgument {
  let text: String

  init?(argument: String) { text = argument }

  /// The service. Throws `ValidationError`.
  func reference(_ options: DeploymentOption) throws -> ServiceReference {
    if let reference = ServiceReference(argument: text) {
      guard options.deployment == nil || options.deployment == reference.deployment else {
        throw ValidationError(
          "\(text) and --deployment \(options.deployment ?? "") exclude each other")
      }
      return reference
    }
    guard let deployment = options.deployment, !text.isEmpty, !text.contains("/") else {
      throw ValidationError(
        "'\(text)' is no service: DEPLOYMENT/SERVICE is needed, or -d DEPLOYMENT and SERVICE")
    }
    return ServiceReference(deployment: deployment, service: text)
  }
}

/// The option that names the deployment of a service that is written without.
struct DeploymentOption: ParsableArguments {
  @Option(name: .shortAndLong, help: "The deployment, where the service is written without it.")
  var deployment: String?
}
