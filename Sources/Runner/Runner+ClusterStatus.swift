import ControlAPI
import Registry

extension Runner {
  /// The tunnels, the other runners and the registry; nil on a runner that is alone.
  func clusterStatus() async -> Istbpf_Control_V1_ClusterStatus? {
    guard let remote, let cluster = configuration.cluster else { return nil }
    var status = Istbpf_Control_V1_ClusterStatus()
    status.name = cluster.identity.cluster
    status.tunnelAddress = "\(cluster.tunnelAddress)"
    if case .unavailable(let reason) = remote.kernelTLS { status.kernelTlsProblem = reason }
    if let counters = remote.counters {
      status.kernelTunnels = UInt32(clamping: counters.tunnelsKernel)
      status.userSpaceTunnels = UInt32(clamping: counters.tunnelsLive - counters.tunnelsKernel)
      status.streams = UInt32(clamping: counters.streamsLive)
    }
    status.registryCurrent = view?.condition.isCurrent ?? false
    status.registryProblem = view?.condition.problem?.description ?? ""
    status.heldInstances = UInt32(clamping: view?.condition.heldLoss?.missing ?? 0)
    status.runners = await runnerStatuses()
    return status
  }

  /// The runners that are there, and those that are gone and have numbers still.
  private func runnerStatuses() async -> [Istbpf_Control_V1_RunnerStatus] {
    let numbers = await registry.numbersByRunner()
    let instances = Dictionary(grouping: view?.instances ?? [], by: \.runner)
    let present = Dictionary(uniqueKeysWithValues: (view?.runners ?? []).map { ($0.name, $0) })
    return Set(present.keys).union(numbers.keys).sorted().map { name in
      .with {
        $0.name = name
        $0.present = present[name] != nil
        $0.address = present[name]?.address ?? ""
        $0.version = present[name]?.version ?? ""
        $0.instances = UInt32(clamping: instances[name]?.count ?? 0)
        $0.numbers = UInt32(clamping: numbers[name] ?? 0)
      }
    }
  }

  /// Gives the numbers back of a runner that is gone for ever; see `SharedRegistry.forgetRunner`.
  func forgetRunner(_ name: String) async throws -> Int {
    let known = await runnerStatuses().map(\.name)
    if configuration.cluster != nil, !known.contains(name) {
      throw RegistryError.unknownRunner(name, known: known)
    }
    return try await registry.forgetRunner(name)
  }
}
