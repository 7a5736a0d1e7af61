import Model

/// What was made known of the ways out of deployments.
struct PublishedEgress {
  /// A deployment and its services.
  struct Declared {
    let deployment: Deployment
    let services: [Service]
  }

  /// Those whose rules are in effect.
  private(set) var declared: [DeploymentName: Declared] = [:]
  /// The services whose rules have a name.
  private(set) var users: [HostName: Set<ServicePlace>] = [:]
  /// Where the kernel lets a service connect; nil where that is not known.
  var opened: [ServicePlace: Set<AllowedNetwork>] = [:]
  /// Where istbpf-relay is told that a service may connect.
  var relayed: [ServicePlace: Set<AllowedNetwork>] = [:]
  /// What of what is opened is due to names, and to which.
  var named: [ServicePlace: [AllowedNetwork: Set<HostName>]] = [:]
  /// The ids of instances that have a route over ist0 to outside, if they have no other.
  var routed: Set<String> = []
  /// How many addresses of a service's names were too many.
  var crowded: [ServicePlace: Int] = [:]
  /// What was logged of a name last, so that it is logged once.
  var logged: [HostName: [String]] = [:]
  /// Whether names are looked up: not before all that is declared is known.
  var isFollowing = false

  /// Every name that a rule has.
  var names: Set<HostName> { Set(users.keys) }

  /// Takes over what is declared of a deployment.
  mutating func declare(_ services: [Service], in deployment: Deployment) {
    for service in declared[deployment.name]?.services ?? [] {
      for name in service.egress.compactMap(\.name) {
        users[name]?.remove(ServicePlace(service))
        if users[name]?.isEmpty == true { users[name] = nil }
      }
    }
    declared[deployment.name] =
      services.isEmpty ? nil : Declared(deployment: deployment, services: services)
    for service in services {
      for name in service.egress.compactMap(\.name) {
        users[name, default: []].insert(ServicePlace(service))
      }
    }
    let kept = Set(services.map(ServicePlace.init))
    func isGone(_ place: ServicePlace) -> Bool {
      place.deployment == deployment.name && !kept.contains(place)
    }
    for place in opened.keys where isGone(place) { opened[place] = nil }
    for place in relayed.keys where isGone(place) { relayed[place] = nil }
    for place in named.keys where isGone(place) { named[place] = nil }
    for place in crowded.keys where isGone(place) { crowded[place] = nil }
    logged = logged.filter { users[$0.key] != nil }
  }
}

/// A service by its number.
struct ServicePlace: Hashable {
  let deployment: DeploymentName
  let number: ServiceNumber

  init(_ service: Service) { (deployment, number) = (service.deployment, service.number) }
  init(_ instance: Instance) {
    (deployment, number) = (instance.deployment, instance.serviceNumber)
  }
}
