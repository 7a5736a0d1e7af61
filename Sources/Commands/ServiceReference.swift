import ArgumentParser

/// A service on the command line: `D/S`.
struct ServiceReference: ExpressibleByArgument {
  let deployment: String
  let service: String

  init?(argument: String) {
    // A deployment's name has no slash, so the first one is the separator.
    guard let slash = argument.firstIndex(of: "/") else { return nil }
    deployment = String(argument[..<slash])
    service = String(argument[argument.index(after: slash)...])
    guard !deployment.isEmpty, !service.isEmpty else { return nil }
  }
}
