import ControlAPI
import Dataplane
import Glibc
import LinuxSystem
import Model
import Registry

extension Runner {
  /// What would become of a connect of `service` to `text`, and why, as things are now.
  ///
  /// The decision is the data path's own program's; what it read is shown from the same maps. Throws
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
      let asked = services.first { plan.offset(of: address).map { $0 >> 8 } == UInt32($0.number) }
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
        caller, deployment, IPv4Address(0x7f00_0001), port, nil, hook: "connect6")
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
    _ asked: Service?, hook: String
  ) throws -> Istbpf_Control_V1_ExplainResponse {
    let own = running.values.filter { $0.instance.isOf(caller) }.sorted {
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
    if plan.contains(address) {
      try describe(asked, deployment, address, port, in: &response)
    }
    if let reason = decision.reason {
      response.reason = reason.identifier
      response.outcome = Self.name(ofErrno: decision.error)
      response.why = Self.why(reason, caller, response)
    } else if plan.contains(address) {
      judge(&response)
    } else if address.rawValue >> 24 == 127 || address.rawValue == 0 {
      response.decidedBy = "listen"
      response.instances = own.map { explained($0, port: port, loopback: true) }
      judge(&response)
    } else {
      let rule = caller.egress.first { $0.admits(address, port) }
      response.outcome = "unknown"
      response.entries = rule.map { ["egress \(caller.id) \($0)"] } ?? []
      response.why = """
        egress allows it\(rule.map { ", by the rule \($0)" } ?? ""): the connection leaves through \
        the container's other interfaces, and what answers there is not IST's to know
        """
    }
    return response
  }

  private func name(of service: Service, at address: IPv4Address) -> String {
    address == plan.serviceAddress(service.number)
      ? service.id : "\(service.id).\(address.rawValue & 0xff)"
  }

  // MARK: Instances

  /// What the maps say of the service, and its instances that the connect may go to.
  private func describe(
    _ service: Service?, _ deployment: Deployment, _ address: IPv4Address, _ port: PortNumber,
    in response: inout Istbpf_Control_V1_ExplainResponse
  ) throws {
    let pinned = try PinnedState(directory: installation.pinDirectory)
    guard let service,
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
    var candidates = published.local.union(published.remote).filter {
      plan.instanceAddress(service.number, $0) == address
    }
    if address == plan.serviceAddress(service.number) {
      response.entries.append("listening \(service.id):\(port) \(list(published.listening))")
      // As `select_local_instance` has it.
      let listening = published.local.intersection(published.listening)
      candidates =
        !listening.isEmpty
        ? listening : !published.local.isEmpty ? published.local : published.remote
    }
    response.instances = candidates.sorted().map { number in
      if let found = running.values.first(where: {
        $0.instance.isOf(service) && $0.instance.number == number
      }) {
        return explained(found, port: port, loopback: false)
      }
      return .with {
        $0.instance = "\(service.id).\(number)"
        $0.address = "\(plan.instanceAddress(service.number, number))"
        $0.runner =
          view?.instances.first { $0.isOf(service) && $0.number == number }?.runner ?? ""
        $0.listens = "unknown"
      }
    }
  }

  /// Looks into the instance's namespace for who listens on the port there.
  private func explained(
    _ found: RunningInstance, port: PortNumber, loopback: Bool
  ) -> Istbpf_Control_V1_ExplainedInstance {
    .with {
      $0.instance = found.instance.id
      $0.address = "\(found.identity.address)"
      $0.runner = configuration.runnerName
      // Gone, or about to be: its last process has ended.
      guard let process = try? found.cgroup.processes().first,
        let sockets = try? ListeningSocket.all(inNamespaceOf: process)
      else {
        $0.listens = "unknown"
        return
      }
      let reaches = Set(sockets.filter { $0.port == port.rawValue }.map(\.reach))
      if reaches.contains(.everywhere)
        || reaches.contains(loopback ? .loopback : .address(found.identity.address.rawValue))
      {
        $0.listens = "yes"
      } else {
        $0.listens = reaches.contains(.loopback) ? "loopback" : "no"
      }
    }
  }

  /// What an allowed connect comes to: that is up to who listens.
  private func judge(_ response: inout Istbpf_Control_V1_ExplainResponse) {
    let listens = Set(response.instances.map(\.listens))
    let port = response.port
    switch listens {
    case ["yes"]:
      response.outcome = "connected"
      response.why = "somebody listens on port \(port)"
    case ["no"], ["loopback"], ["no", "loopback"]:
      response.outcome = "ECONNREFUSED"
      response.decidedBy = "listen"
      response.why =
        listens.contains("loopback")
        ? "the program listens on 127.0.0.1:\(port) only, which nobody else reaches: have it listen on 0.0.0.0"
        : "nobody listens on port \(port)"
    case []:
      response.outcome = "unknown"
      response.why = "no instance runs here that could be asked"
    default:
      response.outcome = "unknown"
      response.why =
        listens == ["unknown"]
        ? "the instance's own runner knows whether somebody listens on port \(port)"
        : "it depends on the instance that is chosen"
    }
  }

  // MARK: Words

  private static func why(
    _ reason: Reason, _ caller: Service, _ response: Istbpf_Control_V1_ExplainResponse
  ) -> String {
    switch reason {
    case .foreignAddress:
      let rules = caller.egress.map(\.description).joined(separator: ", ")
      return "\(reason.explanation), and no egress rule of \(caller.id) allows it"
        + (rules.isEmpty ? ": it has none" : ": it has \(rules)")
    case .noInstance where response.target.isEmpty || response.instances.isEmpty:
      return "\(reason.explanation): there is none at \(response.address) on any runner"
    default: return reason.explanation
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

extension EgressRule {
  /// Whether the rule is about this address and port.
  fileprivate func admits(_ address: IPv4Address, _ port: PortNumber) -> Bool {
    let mask: UInt32 = ~0 << UInt32(32 - prefixLength)
    return address.rawValue & mask == network.rawValue && (self.port ?? port) == port
  }
}
