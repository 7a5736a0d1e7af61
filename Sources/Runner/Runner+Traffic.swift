import ControlAPI
import Dataplane
import Fabric
import LinuxSystem
import Model
import Registry

/// The connections that instances have now, for maps of who talks to whom.
extension Runner {
  /// An instance whose sockets are to be looked at.
  private struct Place: Sendable {
    let instance: RunningInstance
    let namespaces: [NetworkNamespace]
    /// Those whose sockets are the instance's, and not another program's in its namespace.
    let cgroups: Set<UInt64>
  }

  /// The connections of a deployment's instances on this runner, and the ports on which these listen.
  ///
  /// Throws `RegistryError` where there is no such deployment, `SystemError` where the kernel does not tell.
  func traffic(
    of deployment: DeploymentName
  ) async throws -> Istbpf_Control_V1_GetTrafficResponse {
    // Throws with what was likely meant.
    _ = try await registry.deployment(named: deployment)
    let places = instances.filter { $0.instance.deployment == deployment }
      .sorted { $0.identity.address < $1.identity.address }
      .map {
        Place(instance: $0, namespaces: namespaces(of: $0), cgroups: cgroupIDs(of: $0))
      }
    // Off the actor: thousands of sockets take their time.
    return try await Self.traffic(
      of: places, on: configuration.runnerName, plan: plan,
      names: Names(PinnedState(directory: installation.pinDirectory)), outside: outside)
  }

  /// How many connections one answer has: of some 100 bytes each, below gRPC's limit for a message.
  private static let maximum = 10_000

  @concurrent
  private static func traffic(
    of places: [Place], on runner: String, plan: AddressPlan, names: Names, outside: OutsideNames
  ) async throws -> Istbpf_Control_V1_GetTrafficResponse {
    let here = Set(places.map(\.instance.identity.address))
    var response = Istbpf_Control_V1_GetTrafficResponse()
    for place in places {
      let identity = place.instance.identity
      var ports: Set<UInt16> = []
      for namespace in place.namespaces {
        let listeners = try TCPListener.list(in: namespace).filter {
          $0.isReached(at: identity.address, over: place.instance.link.ifindex)
        }
        ports.formUnion(listeners.map(\.port))
        for traffic in try TCPTraffic.list(in: namespace) {
          let (local, peer) = (traffic.connection.local, traffic.connection.peer)
          guard !peer.isLoopback, peer != local, traffic.connection.isOf(place.cgroups) else {
            continue
          }
          let isIncoming = local == identity.address && ports.contains(traffic.localPort)
          if isIncoming, here.contains(peer) { continue }
          guard response.connections.count < maximum else {
            response.omitted += 1
            continue
          }
          var connection = connection(
            traffic, isIncoming: isIncoming, of: place.instance, plan: plan, names: names,
            outside: outside)
          connection.runner = runner
          response.connections.append(connection)
        }
      }
      response.listening.append(
        .with {
          $0.instance = place.instance.instance.id
          $0.ports = ports.sorted().map(UInt32.init)
          $0.runner = runner
        })
    }
    return response
  }

  private static func connection(
    _ traffic: TCPTraffic, isIncoming: Bool, of instance: RunningInstance, plan: AddressPlan,
    names: Names, outside: OutsideNames
  ) -> Istbpf_Control_V1_Connection {
    let (deployment, peer) = (instance.identity.deployment, traffic.connection.peer)
    return .with {
      $0.local.name = instance.instance.id
      $0.local.address = "\(traffic.connection.local)"
      $0.local.port = UInt32(traffic.localPort)
      $0.peer.name =
        isIncoming && peer == plan.host
        ? "istbpf connect"
        : names.endpoint(peer, deployment: deployment)
          ?? outside.name(of: peer, for: instance.instance.serviceNumber, in: deployment)?.rawValue
          ?? ""
      $0.peer.address = "\(peer)"
      $0.peer.port = UInt32(traffic.connection.peerPort)
      $0.incoming = isIncoming
      // A caller's SYN is one.
      $0.sent = traffic.acknowledged - min(traffic.acknowledged, isIncoming ? 0 : 1)
      $0.received = traffic.received
      $0.roundTripMicroseconds = traffic.roundTripMicroseconds
    }
  }
}
