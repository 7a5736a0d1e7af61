import ControlAPI
import Dataplane
import Fabric
import LinuxSystem
import Model
import ServiceLog
import NameResolution

/// The names outside that services may connect to: their addresses are opened, and stand in the hosts files
/// of the instances.
extension Runner {
  /// How many addresses the names of a service may open, so that none fills the kernel's map.
  static let mostNamedPerService = 1024
  /// How long, in seconds, an address that a name has no more is kept at a time for the connections that
  /// use it.
  private static let keepingInUse = 60.0

  /// Has names looked up from now on, since all that is declared is known.
  func beginFollowingNames() {
    outside.follower.start { [weak self] names in
      Task { await self?.publishNames(names) }
    }
    egress.isFollowing = true
    followNames()
  }

  /// Follows the names that rules have.
  func followNames() {
    guard egress.isFollowing else { return }
    outside.follower.follow(egress.names)
    outside.forget(except: egress.names)
  }

  /// Takes over what was found of names: their addresses are opened first, and told to programs then.
  func publishNames(_ names: Set<HostName>) {
    var places: Set<ServicePlace> = []
    for name in names.sorted() {
      guard let users = egress.users[name] else { continue }
      places.formUnion(users)
      // First, so that a daemon that starts knows of everything that is open.
      outside.save(name, users.map(id).sorted())
      report(name)
    }
    for (deploymentName, places) in Dictionary(grouping: places, by: \.deployment) {
      guard let declared = egress.declared[deploymentName] else { continue }
      var steps = Steps()
      for service in declared.services where places.contains(ServicePlace(service)) {
        steps.attempt {
          let old = try current(service, in: declared.deployment)
          var inner = Steps()
          publishEgress(of: service, in: declared.deployment, old, &inner)
          if let first = inner.errors.first { throw first }
        }
        for instance in instances
        where ServicePlace(instance.instance) == ServicePlace(service) {
          steps.attempt { try writeHostsFile(of: instance, services: declared.services) }
        }
      }
      guard let first = steps.errors.first else { continue }
      logger.error(
        "\(deploymentName): what names have is not in effect: \(first)",
        metadata: deploymentName.logFields)
      markUnapplied(declared.deployment)
    }
  }

  private func current(
    _ service: Service, in deployment: Deployment
  ) throws -> Set<AllowedNetwork> {
    if let known = egress.opened[ServicePlace(service)] { return known }
    return try dataplane.egress(ofDeployment: deployment.id)[service.number] ?? []
  }

  /// How people name a service.
  private func id(_ place: ServicePlace) -> String {
    let services = egress.declared[place.deployment]?.services
    return services?.first { $0.number == place.number }?.id
      ?? "\(place.deployment)/#\(place.number)"
  }

  // MARK: What is open

  /// Where a service may connect: what its rules say by themselves, and the addresses that their names have;
  /// the latter with these names. What of `old` is no more such an address stays while connections use it.
  func allowed(
    _ service: Service, besides old: Set<AllowedNetwork>
  ) -> (all: Set<AllowedNetwork>, named: [AllowedNetwork: Set<HostName>]) {
    let place = ServicePlace(service)
    var named: [AllowedNetwork: Set<HostName>] = [:]
    var crowded = 0
    let rules = service.egress.compactMap { rule in rule.name.map { ($0, rule.port) } }
    let open = Dictionary(
      rules.map { ($0.0, outside.open($0.0)) }, uniquingKeysWith: { first, _ in first })
    // The first of each name before the second of any.
    for index in 0..<(open.values.map(\.count).max() ?? 0) {
      for (name, port) in rules {
        guard let addresses = open[name], index < addresses.count else { continue }
        let network = AllowedNetwork(IPv4Network(addresses[index]), port: port)
        if named[network] == nil, named.count == Self.mostNamedPerService {
          crowded += 1
        } else {
          named[network, default: []].insert(name)
        }
      }
    }
    if crowded > 0, egress.crowded[place] == nil {
      logger.warning(
        """
        \(service.id): its names have more than \(Self.mostNamedPerService) addresses: \(crowded) are not \
        opened
        """, metadata: service.logFields)
    }
    egress.crowded[place] = crowded > 0 ? crowded : nil
    for (network, names) in inUse(old.filter { named[$0] == nil }, by: service, rules) {
      named[network] = names
    }
    let networks = Set(service.egress.compactMap(\.allowedNetwork))
    return (networks.union(named.keys), named)
  }

  /// Those of addresses that names had, by which the service may still connect, that connections of it use;
  /// they are kept for a while.
  private func inUse(
    _ gone: Set<AllowedNetwork>, by service: Service, _ rules: [(HostName, PortNumber?)]
  ) -> [AllowedNetwork: Set<HostName>] {
    let before = egress.named[ServicePlace(service)] ?? [:]
    var candidates: [AllowedNetwork: Set<HostName>] = [:]
    for network in gone {
      let names = (before[network] ?? []).filter { name in
        rules.contains { $0.0 == name && $0.1 == network.port }
      }
      let address = network.network.first
      guard !names.isEmpty, outside.objections.objection(to: address) == nil else { continue }
      candidates[network] = names
    }
    guard !candidates.isEmpty else { return [:] }
    var connections: [TCPConnection] = []
    for instance in instances where ServicePlace(instance.instance) == ServicePlace(service) {
      let cgroups = cgroupIDs(of: instance)
      do {
        connections += try namespaces(of: instance).flatMap { try TCPConnections.list(in: $0) }
          .filter { $0.isOf(cgroups) }
      } catch {
        // Then what it uses is closed, rather than kept for ever.
        logger.error(
          "\(instance.instance.id): cannot see which addresses it uses: \(error)",
          metadata: instance.instance.logFields)
      }
    }
    let used = candidates.filter { network, _ in
      connections.contains { network.allows($0.peer, port: $0.peerPort) }
    }
    for (network, names) in used {
      for name in names {
        outside.follower.keep(network.network.first, of: name, seconds: Self.keepingInUse)
      }
    }
    return used
  }

  // MARK: Hosts files

  /// The lines of ours in the hosts file of an instance of `service`.
  func hostsEntries(
    of service: ServicePlace, among services: [Service]
  ) -> [HostsFile.Entry] {
    let own = services.first { ServicePlace($0) == service }
    let open = Set((egress.named[service] ?? [:]).keys.map(\.network.first))
    let names = Set(own?.egress.compactMap(\.name) ?? []).sorted().flatMap { name in
      outside.listed(name).filter(open.contains).map { HostsFile.Entry($0, name.rawValue) }
    }
    return HostsFile.entries(of: services, plan: plan) + names
  }

  // MARK: Words

  /// Logs what is wrong with a name, each once.
  private func report(_ name: HostName) {
    guard let record = outside.follower.record(of: name) else { return }
    var problems = record.refused.sorted { $0.key < $1.key }.map {
      "\(name) has the address \($0.key), which is not opened: \($0.value)"
    }
    if record.surplus > 0 {
      problems.append(
        "\(name) has \(record.surplus) addresses beyond \(NameLimits.mostAddresses), which are not opened"
      )
    }
    if let problem = record.problem {
      let known = record.isClosed ? "nothing of it is open" : "what was known holds on for a while"
      problems.append("\(name) is not resolved: \(problem); \(known)")
    }
    let before = Set(egress.logged[name] ?? [])
    for problem in problems where !before.contains(problem) { logger.warning("\(problem)") }
    if before.contains(where: { $0.contains("is not resolved") }), record.problem == nil {
      logger.notice("\(name) is resolved again")
    }
    // What was once refused is not logged again when it comes back, but not all that ever was is kept.
    let kept =
      problems
      + (egress.logged[name] ?? []).filter {
        !problems.contains($0) && !$0.contains("is not resolved")
      }
    egress.logged[name] = Array(kept.prefix(64))
  }
}

// MARK: For people

extension Runner {
  /// How long `deploy` waits at most for the first look at the names that it declares.
  private static let firstLook = Duration.seconds(2)

  /// Waits until the names that services have were looked at, for a moment at most, and has what was found
  /// in effect. Returns what is wrong with them, for a person.
  func awaitNames(of services: [Service]) async -> [String] {
    let names = Set(services.flatMap(\.egress).compactMap(\.name))
    guard !names.isEmpty else { return [] }
    let deadline = ContinuousClock.now + Self.firstLook
    while ContinuousClock.now < deadline, !Task.isCancelled,
      names.contains(where: { outside.follower.record(of: $0)?.isLookedUp == false })
    {
      // Throws where the task is cancelled, which the loop sees.
      try? await Task.sleep(for: .milliseconds(5))
    }
    publishNames(names)
    var warnings: [String] = []
    for name in names.sorted() {
      guard let record = outside.follower.record(of: name) else { continue }
      if let fault = outside.follower.fault { warnings.append("\(name) is not resolved: \(fault)") }
      if !record.isLookedUp {
        warnings.append("\(name) is not resolved yet: the resolver has not answered")
      } else if let problem = record.problem {
        warnings.append("\(name) is not resolved: \(problem)")
      }
      for (address, reason) in record.refused.sorted(by: { $0.key < $1.key }) {
        warnings.append("\(name) has the address \(address), which is not opened: \(reason)")
      }
      if record.surplus > 0 {
        warnings.append(
          "\(name) has \(record.surplus) addresses beyond \(NameLimits.mostAddresses), which are not opened"
        )
      }
    }
    return warnings
  }

  /// What is known of the names that a service's rules have.
  func nameStatus(of service: Service) -> [Istbpf_Control_V1_OutsideName] {
    let now = bootTimeNow()
    return Set(service.egress.compactMap(\.name)).sorted().map { name in
      .with {
        $0.name = name.rawValue
        guard let record = outside.follower.record(of: name) else {
          ($0.answeredAgo, $0.nextLookIn) = (-1, -1)
          return
        }
        let open = outside.open(name)
        $0.addresses = open.filter(record.addresses.contains).map(\.description)
        $0.former = open.filter { !record.addresses.contains($0) }.map(\.description)
        $0.refused = record.refused.sorted { $0.key < $1.key }.map { address, reason in
          .with { ($0.address, $0.reason) = ("\(address)", reason) }
        }
        $0.surplus = UInt32(clamping: record.surplus)
        $0.problem = record.problem ?? outside.follower.fault ?? ""
        $0.answeredAgo = record.answered.map { now - $0 } ?? -1
        $0.validFor = record.validUntil - now
        $0.nextLookIn = record.isLookedUp ? max(record.nextLook - now, 0) : -1
      }
    }
  }
}
