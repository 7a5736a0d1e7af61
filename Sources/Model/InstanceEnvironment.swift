/// A variable of an instance's environment.
public struct EnvironmentVariable: Hashable, Sendable {
  /// Its name.
  public let name: String

  /// Its value.
  public let value: String

  /// The variable `name` with `value`.
  public init(name: String, value: String) {
    self.name = name
    self.value = value
  }
}

/// The variables that every instance of a service gets.
public struct InstanceEnvironment: Hashable, Sendable {
  /// The variables: the addresses in the order of the services' numbers, then who the instance is.
  public let variables: [EnvironmentVariable]

  /// The variables of an instance of `service`.
  ///
  /// - Parameters:
  ///   - service: the service that the instance is a copy of.
  ///   - services: every service of its deployment, itself included.
  ///   - plan: the runner's range of addresses.
  ///   - runner: the name of the runner that the instance runs on.
  public init(of service: Service, among services: [Service], plan: AddressPlan, runner: String) {
    var variables: [EnvironmentVariable] = []
    for other in services.sorted(by: { $0.number < $1.number }) {
      let address = "\(plan.serviceAddress(other.number))"
      variables.append(EnvironmentVariable(name: other.name.variableName, value: address))
      if let name = other.name.shellVariableName {
        variables.append(EnvironmentVariable(name: name, value: address))
      }
    }
    self.variables =
      variables + [
        EnvironmentVariable(name: "WARP_DEPLOYMENT", value: "\(service.deployment)"),
        EnvironmentVariable(name: "WARP_SERVICE", value: "\(service.name)"),
        EnvironmentVariable(name: "WARP_RUNNER", value: runner),
        EnvironmentVariable(name: "WARP_PORT", value: "\(service.port)"),
      ]
  }
}
