import ControlAPI
import Dataplane
import Fabric
import Glibc
import LinuxSystem
import Model
import ServiceLog
import Registry

extension Runner {
  /// What would become of a connect of `service` to `text`, and why, as things are now.
  ///
  /// The decision and the instances that it leaves to chance are the data path's own program's; what it
  /// read is shown from the same maps. Throws
  /// `InvalidTarget`, `InvalidName` and `RegistryError`.
  func explain(
    _ name: ServiceName, of deploymentName: DeploymentName, connectingTo text: String
  ) async throws -> Istbpf_Control_V1_ExplainResponse {
    let target = try ConnectTarget(text)
    let deployment = try await registry.deployment(named: deploymentName)
    let caller = try await registry.service(name, of: deploymentName)
    let services = try await registry.services(of: deploymentName)
    switch target.host {
    case .ipv4(let address, let isMapped):
      let asked = services.first { plan.place(of: address)?.service == $0.number }
      guard let port = target.port ?? asked?.port else {
        throw InvalidTarget(text: text, reason: "name a port, as in \(text):443")
      }
      return try explain(
        caller, deployment, address, port, asked, hook: isMapped ? "connect6" : "connect4")
    case .ipv6(let address):
      return try explain(caller, deployment, ipv6: address, port: target.port, text: text)
    case .service(let named):
      let asked = try await registry.service(try ServiceName(named), of: deploymentName)
      return try explain(caller, deployment, asked, target.port)
    case .hostName(let label):
      guard let asked = services.first(where: { $0.name.hostName == label }) else {
        throw RegistryError.undeclaredService(
          try ServiceName(label), deployment: deploymentName, known: services.map(\.name))
      }
      return try explain(caller, deployment, asked, target.port)
    case .serviceOf(let other, let named):
      let other = try DeploymentName(other)
      let asked = try await registry.service(try ServiceName(named), of: other)
      if other == deploymentName { return try explain(caller, deployment, asked, target.port) }
      return explain(caller, other: asked, target.port, services)
    }
  }

  // MARK: Targets

  private func explain(
    _ caller: Service, _ deployment: Deployment, _ asked: Service, _ port: PortNumber?
  ) throws -> Istbpf_Control_V1_ExplainResponse {
    try explain(
      caller, deployment, plan.serviceAddress(asked.number), port ?? asked.port, asked,
      hook: "connect4")
  }

  /// Another deployment's: its address means something else here, or nothing.
  private func explain(
    _ caller: Service, other: Service, _ port: PortNumber?, _ services: [Service]
  ) -> Istbpf_Control_V1_ExplainResponse {
    let address = plan.serviceAddress(other.number)
    let here = services.first { $0.number == other.number }?.id
    return .with {
      $0.outcome = "unreachable"
      $0.decidedBy = "fabric"
      $0.target = other.id
      $0.address = "\(address)"
      $0.port = UInt32((port ?? other.port).rawValue)
      $0.why = """
        deployments share no link: in \(caller.deployment), \(address) is \
        \(here ?? "no declared service"), and \(other.id) has no address at all
        """
    }
  }

  /// What connect6 decides by itself: that IPv6 is loopback or nothing.
  private func explain(
    _ caller: Service, _ deployment: Deployment, ipv6 address: String, port: PortNumber?,
    text: String
  ) throws -> Istbpf_Control_V1_ExplainResponse {
    var bytes = in6_addr()
    guard inet_pton(AF_INET6, address, &bytes) == 1 else {
      throw InvalidTarget(text: text, reason: "\(address) is no IPv6 address")
    }
    guard let port else {
      throw InvalidTarget(text: text, reason: "name a port, as in [\(address)]:443")
    }
    if withUnsafeBytes(of: bytes, { $0.dropLast().allSatisfy { $0 == 0 } && $0[15] <= 1 }) {
      return try explain(
        caller, deployment, IPv4Address(0x7f00_0001), port, nil, hook: "connect6",
        loopback: .ipv6)
    }
    return .with {
      $0.outcome = "EPERM"
      $0.decidedBy = "cgroup/connect6"
      $0.reason = Reason.ipv6.identifier
      $0.why = "\(Reason.ipv6.explanation): a deployment has IPv4 alone"
      $0.address = address
      $0.port = UInt32(port.rawValue)
    }
  }

  private func explain(
    _ caller: Service, _ deployment: Deployment, _ address: IPv4Address, _ port: PortNumber,
    _ asked: Service?, hook: String, loopback: Destination? = nil
  ) throws -> Istbpf_Control_V1_ExplainResponse {
    let own = instances.filter { $0.instance.isOf(caller) }.sorted {
      $0.instance.number < $1.instance.number
    }
    let identity = Identity(
      deployment: deployment.id,
      address: own.first?.identity.address
        ?? plan.instanceAddress(caller.number, AddressPlan.instanceNumbers.lowerBound))
    let decision = try dataplane.decide(identity, connectingTo: address, port: port.rawValue)
    var response = Istbpf_Control_V1_ExplainResponse.with {
      $0.decidedBy = "cgroup/\(hook)"
      $0.address = "\(address)"
      $0.port = UInt32(port.rawValue)
      $0.target = asked.map { name(of: $0, at: address) } ?? ""
    }
    var candidates: [Candidate] = []
    if plan.contains(address), let asked {
      try describe(asked, deployment, address, port, decision, in: &response)
      candidates =
        decision.local.sorted().map { local(asked, $0, port) }
        + decision.remote.sorted().map { remote(asked, $0) }
    }
    if let reason = decision.reason {
      response.reason = reason.identifier
      response.outcome = Self.name(ofErrno: decision.error)
      response.why =
        reason == .foreignAddress
        ? whyForeign(caller, address, port, from: own) : Self.why(reason, response)
    } else if plan.contains(address) {
      judge(candidates, from: own.first, in: &response)
    } else if address.rawValue >> 24 == 127 || address.rawValue == 0 {
      let destination =
        loopback ?? .ipv4(address.rawValue == 0 ? IPv4Address(0x7f00_0001) : address)
      judge(own.map { candidate($0, port, destination) }, from: own.first, in: &response)
      if response.reason.isEmpty { response.decidedBy = "listen" }
    } else {
      response.entries = try egressEntries(caller, deployment, address, port)
      try describeWayOut(caller, address, port, from: own, in: &response)
    }
    return response
  }

  private func name(of service: Service, at address: IPv4Address) -> String {
    guard let place = plan.place(of: address), address != plan.serviceAddress(service.number)
    else { return service.id }
    return "\(service.id).\(place.octet)"
  }

  // MARK: Instances

  /// Where a connect goes inside the network namespace of an instance.
  private enum Destination {
    case ipv4(IPv4Address)
    /// ::1
    case ipv6
  }

  /// An instance that the connect may go to.
  private struct Candidate {
    var instance = Istbpf_Control_V1_ExplainedInstance()
    /// What keeps its program from being reached, for a person; empty where nothing does or is known.
    var problem = ""
  }

  /// What the maps say of the service.
  private func describe(
    _ service: Service, _ deployment: Deployment, _ address: IPv4Address, _ port: PortNumber,
    _ decision: ConnectDecision, in response: inout Istbpf_Control_V1_ExplainResponse
  ) throws {
    let pinned = try PinnedState(directory: installation.pinDirectory)
    guard
      let published = try pinned.published(
        service.number, deployment: deployment.id, port: port.rawValue)
    else { return }
    func list(_ numbers: Set<InstanceNumber>) -> String {
      let addresses = numbers.sorted().map { "\(plan.instanceAddress(service.number, $0))" }
      return addresses.isEmpty ? "none" : addresses.joined(separator: " ")
    }
    response.entries = [
      "services \(service.id) local \(list(published.local)), remote \(list(published.remote))"
    ]
    if address == plan.serviceAddress(service.number) {
      response.entries.append("listening \(service.id):\(port) \(list(published.listening))")
    }
  }

  private func local(
    _ service: Service, _ number: InstanceNumber, _ port: PortNumber
  ) -> Candidate {
    let found = instances.first {
      $0.instance.isOf(service) && $0.instance.number == number
    }
    if let found { return candidate(found, port, .ipv4(found.identity.address)) }
    // It has just ended.
    return remote(service, number)
  }

  private func remote(_ service: Service, _ number: InstanceNumber) -> Candidate {
    var candidate = Candidate()
    candidate.instance.instance = "\(service.id).\(number)"
    candidate.instance.address = "\(plan.instanceAddress(service.number, number))"
    candidate.instance.runner =
      view?.instances.first { $0.isOf(service) && $0.number == number }?.runner ?? ""
    candidate.instance.listens = "unknown"
    return candidate
  }

  /// Looks into the instance's namespace for who listens on the port there.
  private func candidate(
    _ found: RunningInstance, _ port: PortNumber, _ destination: Destination
  ) -> Candidate {
    var candidate = Candidate()
    candidate.instance.instance = found.instance.id
    candidate.instance.address = "\(found.identity.address)"
    candidate.instance.runner = configuration.runnerName
    let namespaces = namespaces(of: found)
    do {
      let listeners = try namespaces.flatMap { try TCPListener.list(in: $0) }
        .filter { $0.port == port.rawValue }
      // None: its last process has ended.
      (candidate.instance.listens, candidate.problem) =
        namespaces.isEmpty
        ? ("unknown", "") : judge(listeners, found, destination)
    } catch {
      candidate.instance.listens = "unknown"
      logger.error(
        "\(found.instance.id): cannot see what listens: \(error)",
        metadata: found.instance.logFields)
    }
    return candidate
  }

  /// Whether one of the sockets on a port is reached, as `ExplainedInstance.listens` has it; if not, which
  /// one is in the way, and what to change.
  private func judge(
    _ listeners: [TCPListener], _ found: RunningInstance, _ destination: Destination
  ) -> (listens: String, problem: String) {
    let cgroups = cgroupIDs(of: found)
    func isOwn(_ listener: TCPListener) -> Bool { listener.cgroup.map(cgroups.contains) ?? true }
    let reached = listeners.filter {
      switch destination {
      case .ipv4(let address):
        $0.isReached(at: address, over: address.isLoopback ? 1 : found.link.ifindex)
      case .ipv6: $0.isReachedAtIPv6Loopback
      }
    }
    let first = reached.contains(where: \.hasAddress) ? reached.filter(\.hasAddress) : reached
    if first.contains(where: isOwn) { return ("yes", "") }
    if let stranger = first.first {
      return (
        "stranger",
        "\(Reason.strangersSocket.explanation) listens on \(stranger), and nobody reaches it: have the "
          + "service's own program listen"
      )
    }
    guard let listener = listeners.first(where: isOwn) else { return ("no", "") }
    let program = "the program listens on \(listener)"
    switch listener.reach {
    case .ipv4(let address) where address.isLoopback:
      return (
        "loopback", "\(program) only, which nobody else reaches: have it listen on 0.0.0.0"
      )
    case .ipv4:
      return (
        "elsewhere",
        "\(program) only, and not on its instance address: have it listen on 0.0.0.0 or "
          + "\(found.identity.address)"
      )
    case .ipv6("::1"):
      return ("loopback", "\(program) only, which nobody else reaches: have it listen on 0.0.0.0")
    case .ipv6("::"):
      return (
        "ipv6",
        "\(program) for IPv6 alone (IPV6_V6ONLY), and IST is IPv4: have it listen on 0.0.0.0, or "
          + "clear IPV6_V6ONLY before it binds"
      )
    case .ipv6:
      return ("ipv6", "\(program), and IST is IPv4: have it listen on 0.0.0.0")
    case .everywhere where listener.ifindex != 0:
      return (
        "elsewhere",
        "\(program) on one interface (SO_BINDTODEVICE), and not on ist0: have it bind to none"
      )
    case .everywhere:
      return ("no", "\(program), which is no IPv6 socket: have it listen on [::]")
    }
  }

  /// What an allowed connect comes to: that is up to who listens.
  private func judge(
    _ candidates: [Candidate], from caller: RunningInstance?,
    in response: inout Istbpf_Control_V1_ExplainResponse
  ) {
    response.instances = candidates.map(\.instance)
    let listens = Set(candidates.map(\.instance.listens))
    let port = response.port
    if listens.isEmpty {
      response.outcome = "unknown"
      response.why = "no instance runs here that could be asked"
    } else if listens == ["yes"] {
      response.outcome = "connected"
      response.why = "somebody listens on port \(port)"
    } else if listens == ["stranger"] {
      // connect() says so of its own namespace; of another the fabric drops the answer.
      let isOwn = candidates.allSatisfy { $0.instance.instance == caller?.instance.id }
      response.outcome = isOwn ? "ECONNREFUSED" : "ETIMEDOUT"
      response.decidedBy = isOwn ? response.decidedBy : "fabric"
      response.reason = Reason.strangersSocket.identifier
      response.why = candidates.first?.problem ?? ""
    } else if listens.isDisjoint(with: ["yes", "unknown", "stranger"]) {
      response.outcome = "ECONNREFUSED"
      response.decidedBy = "listen"
      response.why =
        candidates.first { !$0.problem.isEmpty }?.problem ?? "nobody listens on port \(port)"
    } else if listens == ["unknown"] {
      response.outcome = "unknown"
      response.why = "the instance's own runner knows whether somebody listens on port \(port)"
    } else {
      response.outcome = "unknown"
      response.why = "it depends on the instance that is chosen"
    }
  }

  // MARK: Words

  private static func why(
    _ reason: Reason, _ response: Istbpf_Control_V1_ExplainResponse
  ) -> String {
    switch reason {
    case .noInstance:
      "\(reason.explanation): there is none at \(response.address) on any runner"
    case .noService: "\(reason.explanation): `istbpf status` lists those that are"
    default: reason.explanation
    }
  }

  private static func name(ofErrno number: Int32) -> String {
    switch number {
    case EPERM: "EPERM"
    case EHOSTUNREACH: "EHOSTUNREACH"
    case ECONNREFUSED: "ECONNREFUSED"
    default: "errno \(number)"
    }
  }
}

extension Instance {
  fileprivate func isOf(_ other: Service) -> Bool {
    deployment == other.deployment && serviceNumber == other.number
  }
}
