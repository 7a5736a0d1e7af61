import ControlAPI
import Registry
import RelayControl

extension Runner {
  /// The tunnels, the other runners and the registry; nil on a runner that is alone.
  func clusterStatus(
    _ figures: Istbpf_Relay_V1_Statistics?, _ numbers: [String: Int]
  ) -> Istbpf_Control_V1_ClusterStatus? {
    guard let cluster = configuration.cluster else { return nil }
    var status = Istbpf_Control_V1_ClusterStatus()
    status.name = cluster.identity.cluster
    status.tunnelAddress = "\(cluster.tunnelAddress)"
    if let figures {
      status.kernelTlsProblem = figures.kernelTlsProblem
      status.kernelTunnels = UInt32(clamping: figures.tunnelsKernel)
      status.userSpaceTunnels = UInt32(
        clamping: figures.tunnelsLive - min(figures.tunnelsLive, figures.tunnelsKernel))
      status.streams = UInt32(clamping: figures.streamsLive)
    }
    status.registryCurrent = view?.condition.isCurrent ?? false
    status.registryProblem = view?.condition.problem?.description ?? ""
    status.heldInstances = UInt32(clamping: view?.condition.heldLoss?.missing ?? 0)
    status.runners = runnerStatuses(numbers)
    return status
  }

  /// The runners that are there, and those that are gone and have numbers still.
  private func runnerStatuses(_ numbers: [String: Int]) -> [Istbpf_Control_V1_RunnerStatus] {
    let instances = Dictionary(grouping: view?.instances ?? [], by: \.runner)
    let present = Dictionary(uniqueKeysWithValues: (view?.runners ?? []).map { ($0.name, $0) })
    return Set(present.keys).union(numbers.keys).sorted().map { name in
      .with {
        $0.name = name
        $0.present = present[name] != nil
        $0.address = present[name]?.address ?? ""
        $0.version = present[name]?.version ?? ""
        $0.instances = UInt32(clamping: instances[name]?.count ?? 0)
        $0.drained = present[name]?.isDrained ?? false
        $0.stale = view?.condition.staleRunners.contains(name) ?? false
        $0.numbers = UInt32(clamping: numbers[name] ?? 0)
      }
    }
  }

  /// Gives the numbers back of a runner that is gone for ever; see `SharedRegistry.forgetRunner`.
  func forgetRunner(_ name: String) async throws -> Int {
    let known = runnerStatuses(await registry.numbersByRunner()).map(\.name)
    if configuration.cluster != nil, !known.contains(name) {
      throw RegistryError.unknownRunner(name, known: known)
    }
    return try await registry.forgetRunner(name)
  }
}
