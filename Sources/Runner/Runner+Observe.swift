import ControlAPI
import Dataplane
import Glibc
import Model
import Registry

extension Runner {
  /// The filter that a request means: names become the numbers that events have.
  ///
  /// Throws `RegistryError` where no such deployment or service is declared.
  func filter(
    of request: Istbpf_Control_V1_ObserveRequest
  ) async throws -> EventFilter {
    var filter = EventFilter(
      plan: plan, denied: request.denied, opened: request.opened, closed: request.closed)
    let deployment = try request.deployment.isEmpty ? nil : DeploymentName(request.deployment)
    if let deployment { filter.deployment = try await registry.deployment(named: deployment).id }
    guard !request.service.isEmpty else { return filter }
    let name = try ServiceName(request.service)
    if let deployment {
      // Throws with what was likely meant.
      _ = try await registry.service(name, of: deployment)
    }
    var services: Set<EventFilter.ServiceKey> = []
    for found in try await registry.deployments() where deployment ?? found.name == found.name {
      for service in try await registry.services(of: found.name) where service.name == name {
        services.insert(.init(deployment: found.id, service: service.number))
      }
    }
    guard !services.isEmpty else { throw RunnerError.unknownService(name) }
    filter.services = services
    return filter
  }
}

/// Puts what the data path tells into the control API's words.
struct EventNaming {
  private let state: PinnedState
  private let plan: AddressPlan
  private let outside: OutsideNames
  private var names: Names
  private var read = ContinuousClock.now

  /// Throws `DataplaneError`.
  init(pinnedIn directory: String, plan: AddressPlan, outside: OutsideNames) throws {
    (self.plan, self.outside) = (plan, outside)
    state = try PinnedState(directory: directory)
    names = try Names(state)
  }

  private mutating func refresh() throws {
    guard ContinuousClock.now - read > .seconds(1) else { return }
    names = try Names(state)
    read = .now
  }

  /// A summary, and what was too much for the data path to tell; nothing where nothing happened.
  mutating func messages(_ summary: EventSummary) throws -> [Istbpf_Control_V1_ObserveResponse] {
    guard !summary.isEmpty else { return [] }
    try refresh()
    return [.with { $0.summary = message(summary) }] + (try summary.untold.map { try message($0) })
  }

  private func message(_ summary: EventSummary) -> Istbpf_Control_V1_Summary {
    .with { message in
      message.events = (summary.denials + summary.connections).map { self.message($0) }
      message.omitted = summary.omitted
      message.connections = summary.pairs.map { pair, count in
        .with {
          $0.local = endpoint(of: pair.instance)
          if let peer = pair.peer {
            $0.peer = endpoint(peer, of: pair.instance, isCaller: pair.isIncoming)
          }
          $0.incoming = pair.isIncoming
          ($0.opened, $0.closed) = (count.opened, count.closed)
          ($0.sent, $0.received) = (count.sent, count.received)
        }
      }
    }
  }

  /// Names as they are now, or were a second ago.
  mutating func message(_ told: ObservedEvent) throws -> Istbpf_Control_V1_ObserveResponse {
    try refresh()
    return .with { response in
      switch told {
      case .event(let event): response.event = message(event)
      case .untold(let instance, let denials, let connections):
        response.untold = .with {
          $0.instance =
            names.endpoint(instance.address, deployment: instance.deployment)
            ?? "\(instance.address)"
          $0.denials = denials
          $0.connections = connections
        }
      }
    }
  }

  private func message(_ event: Event) -> Istbpf_Control_V1_Event {
    .with { message in
      message.time = event.time
      if let instance = event.instance { message.local = endpoint(of: instance) }
      message.local.port = UInt32(event.port)
      if let peer = event.peer.ipv4, let instance = event.instance {
        message.peer = endpoint(peer, of: instance, isCaller: event.isIncoming)
      } else {
        message.peer.address = event.peer.text
      }
      message.peer.port = UInt32(event.peer.port)
      message.incoming = event.isIncoming
      message.protocol = Self.name(ofProtocol: event.networkProtocol)
      message.pid = event.pid
      message.command = event.command
      switch event.kind {
      case .denied(let reason):
        message.denied.reason = reason.identifier
        message.denied.advice = advice(reason, event) ?? ""
      case .opened: message.opened = .init()
      case .closed(let closing):
        message.closed = .with {
          $0.nanoseconds = closing.nanoseconds
          $0.sent = closing.sent
          $0.received = closing.received
          $0.roundTripMicroseconds = closing.roundTripMicroseconds
        }
      }
    }
  }

  private func endpoint(of instance: Identity) -> Istbpf_Control_V1_Endpoint {
    .with {
      $0.address = "\(instance.address)"
      $0.name = names.endpoint(instance.address, deployment: instance.deployment) ?? ""
    }
  }

  /// The other end of what an instance does, by the name that it has for the instance's service.
  private func endpoint(
    _ peer: IPv4Address, of instance: Identity, isCaller: Bool
  ) -> Istbpf_Control_V1_Endpoint {
    .with {
      $0.address = "\(peer)"
      $0.name =
        peer == plan.host && isCaller
        ? "istbpf connect"
        : names.endpoint(peer, deployment: instance.deployment) ?? outsideName(peer, of: instance)
          ?? ""
    }
  }

  private func outsideName(_ address: IPv4Address, of instance: Identity) -> String? {
    plan.place(of: instance.address).flatMap {
      outside.name(of: address, for: $0.service, in: instance.deployment)?.rawValue
    }
  }

  /// What whoever was denied this may do instead; nil where that is not known.
  private func advice(_ reason: Reason, _ event: Event) -> String? {
    guard !event.isIncoming, let instance = event.instance else { return nil }
    let deniesDNS = [.udp, .foreignAddress, .foreignPacket].contains(reason)
    if deniesDNS, event.peer.port == 53 {
      return
        "programs need no DNS: write egress: [\"NAME:443\"] into the service's deployment, and NAME is in "
        + "its /etc/hosts"
    }
    if reason == .foreignAddress, let address = event.peer.ipv4,
      let name = outsideName(address, of: instance)
    {
      return "to allow it, write egress: [\"\(name):\(event.peer.port)\"]"
    }
    return nil
  }

  /// As /etc/protocols has it; the number where it is not among those that are met often.
  private static func name(ofProtocol number: UInt32) -> String {
    switch Int(number) {
    case 0: ""
    case IPPROTO_TCP, IPPROTO_MPTCP: "tcp"
    case IPPROTO_UDP: "udp"
    case IPPROTO_ICMP: "icmp"
    case IPPROTO_ICMPV6: "ipv6-icmp"
    case IPPROTO_SCTP: "sctp"
    case IPPROTO_UDPLITE: "udplite"
    case IPPROTO_RAW: "raw"
    default: "\(number)"
    }
  }
}
