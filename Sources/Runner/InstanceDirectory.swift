import Dataplane
import Model
import Registry
import Relay
import Synchronization
import Tunnel

/// Where every instance is, for the threads that decide about connections: one moment's whole,
/// replaced as it changes.
final class InstanceDirectory: Sendable {
  /// An instance as a connection names it.
  struct Place: Hashable, Sendable {
    let deployment: DeploymentName
    let address: IPv4Address
  }

  private struct State {
    /// The runner of every instance.
    var runners: [Place: String] = [:]
    /// The instances of other runners, by service address.
    var remote: [Place: [IPv4Address]] = [:]
    /// The port of every service that is not private, by its service address.
    var publicPorts: [Place: PortNumber] = [:]
    var deployments: [UInt16: DeploymentName] = [:]
    /// The runners that have instances of a deployment.
    var serving: [DeploymentName: Set<String>] = [:]
    var peers: [String: TunnelPeer] = [:]
  }

  private let plan: AddressPlan
  private let cluster: String
  private let state = Mutex(State())
  /// This runner's name.
  let own: String

  init(plan: AddressPlan, identity: RunnerIdentifier) {
    (self.plan, cluster, own) = (plan, identity.cluster, identity.name)
  }

  /// Takes over what is known of the cluster now.
  func update(_ view: ClusterView) {
    var new = State()
    for instance in view.instances {
      let address = plan.instanceAddress(instance.serviceNumber, instance.number)
      new.runners[Place(deployment: instance.deployment, address: address)] = instance.runner
      new.serving[instance.deployment, default: []].insert(instance.runner)
      guard instance.runner != own else { continue }
      let service = plan.serviceAddress(instance.serviceNumber)
      new.remote[Place(deployment: instance.deployment, address: service), default: []]
        .append(address)
    }
    for service in view.services where !service.isPrivate {
      let address = plan.serviceAddress(service.number)
      new.publicPorts[Place(deployment: service.deployment, address: address)] = service.port
    }
    for deployment in view.deployments { new.deployments[deployment.id] = deployment.name }
    for runner in view.runners {
      guard let address = TunnelAddress(runner.address),
        let identifier = RunnerIdentifier(cluster: cluster, name: runner.name)
      else { continue }
      new.peers[runner.name] = TunnelPeer(runner: identifier, address: address)
    }
    state.withLock { $0 = new }
  }

  /// The other runners that have instances of a deployment, by name; none where this one has not. Nil for where one is
  /// that is not there.
  func others(serving deployment: DeploymentName) -> [String: TunnelPeer?] {
    state.withLock { state in
      guard let serving = state.serving[deployment], serving.contains(own) else { return [:] }
      return Dictionary(
        uniqueKeysWithValues: serving.filter { $0 != own }.map { ($0, state.peers[$0]) })
    }
  }

  /// Whether a runner has an instance of `deployment`.
  func serves(_ runner: String, _ deployment: DeploymentName) -> Bool {
    state.withLock { $0.serving[deployment]?.contains(runner) ?? false }
  }

  /// The runner of an instance of `deployment`.
  func runner(of address: IPv4Address, in deployment: DeploymentName) -> String? {
    state.withLock { $0.runners[Place(deployment: deployment, address: address)] }
  }

  /// An instance of another runner to try, and where that is; no peer where the runner is not there.
  struct Candidate: Sendable {
    let address: IPv4Address
    let peer: TunnelPeer?
  }

  /// The deployment of a flow, and the instances of other runners that may take it, those whose
  /// runner is there first, otherwise in random order.
  func candidates(for flow: Flow) -> (deployment: DeploymentName, candidates: [Candidate])? {
    state.withLock { state in
      guard let deployment = state.deployments[flow.deployment] else { return nil }
      func candidate(_ address: IPv4Address) -> Candidate? {
        let place = Place(deployment: deployment, address: address)
        guard let runner = state.runners[place], runner != own else { return nil }
        return Candidate(address: address, peer: state.peers[runner])
      }
      let place = Place(deployment: deployment, address: flow.destination)
      let addresses = state.remote[place] ?? [flow.destination]
      let all = addresses.compactMap(candidate).shuffled()
      return (deployment, all.filter { $0.peer != nil } + all.filter { $0.peer == nil })
    }
  }

  /// What of an incoming stream's claim does not hold; nil where all of it does. A certificate alone
  /// is not enough: the registry must place the source on the runner that the certificate names, and
  /// the destination here, in one deployment. Any runner may have a front door, whose source is the
  /// gateway; that one may reach the port of a public service and nothing else. A question is answered to a runner
  /// that has instances of the deployment it is about.
  func objection(to stream: IncomingStream) -> String? {
    let request = stream.request
    return state.withLock { state in
      let source = Place(deployment: request.deployment, address: request.source)
      let destination = Place(deployment: request.deployment, address: request.destination)
      guard stream.runner.cluster == cluster else { return "it is of another cluster" }
      if request.isQuestion(plan) {
        let isServing = state.serving[request.deployment]?.contains(stream.runner.name) ?? false
        return isServing
          ? nil : "\(stream.runner.name) has no instance of \(request.deployment)"
      }
      if request.source == plan.gateway {
        let service = Place(
          deployment: request.deployment,
          address: IPv4Address(request.destination.rawValue & ~0xff | 1))
        guard state.publicPorts[service] == request.port else {
          return "\(request.destination):\(request.port) of \(request.deployment) is not public"
        }
      } else if state.runners[source] != stream.runner.name {
        return "\(request.source) of \(request.deployment) is not on \(stream.runner.name)"
      }
      guard state.runners[destination] == own else {
        return "\(request.destination) of \(request.deployment) is not here"
      }
      return nil
    }
  }
}

extension StreamRequest {
  /// A stream on which one istbpfd asks another about `deployment`: from gateway to gateway, where no program is.
  static func question(about deployment: DeploymentName, _ plan: AddressPlan) -> StreamRequest? {
    // A stream has a port; nobody listens there.
    guard let port = try? PortNumber(1) else { return nil }
    return StreamRequest(
      deployment: deployment, source: plan.gateway, destination: plan.gateway, port: port)
  }

  /// Whether it is one.
  func isQuestion(_ plan: AddressPlan) -> Bool {
    source == plan.gateway && destination == plan.gateway
  }
}
