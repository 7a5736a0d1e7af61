/// The public names of services: the label `<service>-<deployment>` that a service's URL begins with.
///
/// Two services may come to the same label, as `a-b` of `c` and `a` of `b-c` do, or `app` of `Shop` and
/// of `shop`. Then neither has a public URL, so that nobody's requests go to somebody else.
public struct PublicNames: Sendable {
  private var services: [String: Service] = [:]
  private var absences: [String: String] = [:]

  /// The label of `service` of `deployment`, encoded as a whole as names of services are; nil where
  /// that is longer than the 63 octets of a label.
  public static func label(of service: ServiceName, in deployment: DeploymentName) -> String? {
    try? HostNameEncoding.label(for: "\(service)-\(deployment)")
  }

  /// The names among `all`, the services of every deployment.
  public init(among all: some Sequence<Service>) {
    var claims: [String: [Service]] = [:]
    for service in all where !service.isPrivate {
      if let label = Self.label(of: service.name, in: service.deployment) {
        claims[label, default: []].append(service)
      } else {
        absences[service.id] = "\(service.name)-\(service.deployment) is too long for a host name"
      }
    }
    for (label, claimants) in claims {
      if claimants.count == 1 {
        services[label] = claimants[0]
        continue
      }
      for service in claimants {
        let others = claimants.filter { $0.id != service.id }.map(\.id).sorted()
        absences[service.id] = "\(others.joined(separator: ", ")) would have \(label) too"
      }
    }
  }

  /// Every service that has a public name, with it, by name.
  public var all: [(label: String, service: Service)] {
    services.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// The label of `service`; nil where it is private or has none for another reason.
  public func label(of service: Service) -> String? {
    guard let label = Self.label(of: service.name, in: service.deployment),
      services[label]?.id == service.id
    else { return nil }
    return label
  }

  /// Why `service` has no public name although it is not private; nil where it has one.
  public func absence(of service: Service) -> String? { absences[service.id] }
}
