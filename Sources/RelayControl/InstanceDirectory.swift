import LinuxSystem
import Model
import Relay
import Synchronization
import Tunnel

/// Where every instance is, for the threads that decide about connections. It is changed one deployment at a time.
package final class InstanceDirectory: Sendable {
  /// What is known of a deployment.
  package struct Entry: Sendable {
    /// Its id on this runner.
    package let id: DeploymentID
    package let name: DeploymentName
    package var services: [Service] = []
    package var instances: [Instance] = []

    /// A service of it.
    package struct Service: Hashable, Sendable {
      package let number: ServiceNumber
      package let port: PortNumber
      package let isPrivate: Bool

      package init(number: ServiceNumber, port: PortNumber, isPrivate: Bool) {
        (self.number, self.port, self.isPrivate) = (number, port, isPrivate)
      }
    }

    /// An instance of it, and the runner that it is on.
    package struct Instance: Hashable, Sendable {
      package let address: IPv4Address
      package let runner: String

      package init(address: IPv4Address, runner: String) {
        (self.address, self.runner) = (address, runner)
      }
    }

    package init(id: DeploymentID, name: DeploymentName) { (self.id, self.name) = (id, name) }
  }

  /// An entry as connections ask for it.
  private struct Places {
    let name: DeploymentName
    /// The runner of every instance.
    var runners: [IPv4Address: String] = [:]
    /// The instances of every service, by its address.
    var instances: [IPv4Address: [IPv4Address]] = [:]
    /// The port of every service that is not private, by its address.
    var publicPorts: [IPv4Address: PortNumber] = [:]
    /// The runners that have instances.
    var serving: Set<String> = []

    init(_ entry: Entry, plan: AddressPlan) {
      name = entry.name
      for instance in entry.instances {
        runners[instance.address] = instance.runner
        serving.insert(instance.runner)
        instances[AddressPlan.serviceAddress(of: instance.address), default: []].append(
          instance.address)
      }
      for service in entry.services where !service.isPrivate {
        publicPorts[plan.serviceAddress(service.number)] = service.port
      }
    }
  }

  private struct State {
    var places: [DeploymentID: Places] = [:]
    var ids: [DeploymentName: DeploymentID] = [:]
    var peers: [String: TunnelPeer] = [:]
    /// The runners that are being emptied.
    var drained: Set<String> = []

    func places(of deployment: DeploymentName) -> Places? {
      ids[deployment].flatMap { places[$0] }
    }
  }

  private let plan: AddressPlan
  /// Nil on a runner that is alone.
  private let cluster: String?
  private let state = Mutex(State())
  /// This runner's name.
  package let own: String

  /// A directory of nothing.
  package init(plan: AddressPlan, cluster: String?, own: String) {
    (self.plan, self.cluster, self.own) = (plan, cluster, own)
  }

  // MARK: Changing

  /// Takes over what is known of a deployment now.
  package func update(_ entry: Entry) {
    let places = Places(entry, plan: plan)
    state.withLock { state in
      if let old = state.places[entry.id]?.name { state.ids[old] = nil }
      state.places[entry.id] = places
      state.ids[entry.name] = entry.id
    }
  }

  /// The deployment with this id is no more.
  package func remove(_ id: DeploymentID) {
    state.withLock { state in
      guard let places = state.places.removeValue(forKey: id) else { return }
      if state.ids[places.name] == id { state.ids[places.name] = nil }
    }
  }

  /// Takes over where runners take tunnels, and which of them are being emptied; one whose address cannot be read is not
  /// there.
  package func update(runners: [String: String], drained: Set<String>) {
    guard let cluster else { return }
    var peers: [String: TunnelPeer] = [:]
    for (name, text) in runners {
      guard let address = SocketAddress(text),
        let identifier = RunnerIdentifier(cluster: cluster, name: name)
      else { continue }
      peers[name] = TunnelPeer(runner: identifier, address: address)
    }
    state.withLock { ($0.peers, $0.drained) = (peers, drained) }
  }

  // MARK: Asking

  /// The ids of all deployments.
  package var deployments: Set<DeploymentID> { state.withLock { Set($0.places.keys) } }

  /// The other runners that have instances of a deployment, by name; none where this one has not. Nil for where one is
  /// that is not there.
  package func others(serving deployment: DeploymentName) -> [String: TunnelPeer?] {
    state.withLock { state in
      guard let serving = state.places(of: deployment)?.serving, serving.contains(own) else {
        return [:]
      }
      return Dictionary(
        uniqueKeysWithValues: serving.filter { $0 != own }.map { ($0, state.peers[$0]) })
    }
  }

  /// The other runners with which a connection may come at any time: those that have instances of a deployment that this
  /// one has instances of too, but for those that are being emptied.
  package var neighbours: Set<TunnelPeer> {
    // A copy: those who decide on a connect meanwhile do not wait.
    let state = state.withLock { $0 }
    let served = state.places.values.lazy.map(\.serving).filter { $0.contains(self.own) }
    let names = served.reduce(into: Set<String>()) { $0.formUnion($1) }
    return Set(names.subtracting(state.drained).subtracting([own]).compactMap { state.peers[$0] })
  }

  /// Where a runner takes tunnels; nil where it is not there.
  package func peer(_ runner: String) -> TunnelPeer? { state.withLock { $0.peers[runner] } }

  /// Whether a runner has an instance of `deployment`.
  package func serves(_ runner: String, _ deployment: DeploymentName) -> Bool {
    state.withLock { $0.places(of: deployment)?.serving.contains(runner) ?? false }
  }

  /// The runner of an instance of `deployment`.
  package func runner(of address: IPv4Address, in deployment: DeploymentName) -> String? {
    state.withLock { $0.places(of: deployment)?.runners[address] }
  }

  /// An instance of another runner to try, and where that is; no peer where the runner is not there.
  package struct Candidate: Sendable {
    package let address: IPv4Address
    package let peer: TunnelPeer?
  }

  /// The deployment of `id`, and the instances of other runners that may take a connection to `destination`: those
  /// whose runner is there first, of these the ones of runners that are being emptied last, otherwise in random order.
  package func candidates(
    for destination: IPv4Address, in id: DeploymentID
  ) -> (deployment: DeploymentName, candidates: [Candidate])? {
    state.withLock { state in
      guard let places = state.places[id] else { return nil }
      var found: (preferred: [Candidate], drained: [Candidate], absent: [Candidate]) = ([], [], [])
      for address in (places.instances[destination] ?? [destination]).shuffled() {
        guard let runner = places.runners[address], runner != own else { continue }
        let candidate = Candidate(address: address, peer: state.peers[runner])
        if candidate.peer == nil {
          found.absent.append(candidate)
        } else if state.drained.contains(runner) {
          found.drained.append(candidate)
        } else {
          found.preferred.append(candidate)
        }
      }
      return (places.name, found.preferred + found.drained + found.absent)
    }
  }

  /// An instance that requests of the front door may go to, and where that is.
  package enum Destination: Sendable {
    /// It is on this runner.
    case local(IPv4Address)
    /// It is on another.
    case remote(IPv4Address, TunnelPeer)
  }

  /// The instances of a service that can be reached, in the order in which to try them: this runner's first, but those
  /// of runners that are being emptied last, otherwise in random order. A runner that is alone may have had another name
  /// before: there, all are its own.
  package func destinations(to service: ServiceNumber, of deployment: DeploymentName)
    -> [Destination]
  {
    let address = plan.serviceAddress(service)
    return state.withLock { state in
      guard let places = state.places(of: deployment) else { return [] }
      var found: (local: [Destination], remote: [Destination], drained: [Destination]) = (
        [], [], []
      )
      for instance in (places.instances[address] ?? []).shuffled() {
        guard let runner = places.runners[instance] else { continue }
        let isLocal = cluster == nil || runner == own
        let remote = state.peers[runner].map { Destination.remote(instance, $0) }
        guard let destination = isLocal ? .local(instance) : remote else { continue }
        if state.drained.contains(runner) {
          found.drained.append(destination)
        } else if isLocal {
          found.local.append(destination)
        } else {
          found.remote.append(destination)
        }
      }
      return found.local + found.remote + found.drained
    }
  }

  /// What of an incoming stream's claim does not hold; nil where all of it does. A certificate alone
  /// is not enough: the registry must place the source on the runner that the certificate names, and
  /// the destination here, in one deployment. Any runner may have a front door, whose source is the
  /// gateway; that one may reach the port of a public service and nothing else. A question is answered to a runner
  /// that has instances of the deployment it is about.
  package func objection(to stream: IncomingStream) -> String? {
    let request = stream.request
    return state.withLock { state in
      guard stream.runner.cluster == cluster else { return "it is of another cluster" }
      let places = state.places(of: request.deployment)
      if request.isQuestion(plan) {
        let isServing = places?.serving.contains(stream.runner.name) ?? false
        return isServing
          ? nil : "\(stream.runner.name) has no instance of \(request.deployment)"
      }
      if request.source == plan.gateway {
        guard
          places?.publicPorts[AddressPlan.serviceAddress(of: request.destination)] == request.port
        else {
          return "\(request.destination):\(request.port) of \(request.deployment) is not public"
        }
      } else if places?.runners[request.source] != stream.runner.name {
        return "\(request.source) of \(request.deployment) is not on \(stream.runner.name)"
      }
      guard places?.runners[request.destination] == own else {
        return "\(request.destination) of \(request.deployment) is not here"
      }
      return nil
    }
  }
}

extension StreamRequest {
  /// A stream on which one istbpfd asks another about `deployment`: from gateway to gateway, where no program is.
  package static func question(
    about deployment: DeploymentName, _ plan: AddressPlan
  ) -> StreamRequest? {
    // A stream has a port; nobody listens there.
    guard let port = try? PortNumber(1) else { return nil }
    return StreamRequest(
      deployment: deployment, source: plan.gateway, destination: plan.gateway, port: port)
  }

  /// Whether it is one.
  package func isQuestion(_ plan: AddressPlan) -> Bool {
    source == plan.gateway && destination == plan.gateway
  }
}
