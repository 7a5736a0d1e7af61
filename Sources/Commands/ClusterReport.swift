import ControlAPI

/// The other runners and the way to them, as `istbpf status` shows it.
struct ClusterReport: Encodable {
  let name: String
  let tunnelAddress: String
  let kernelTLS: Bool
  /// Why the kernel does not encrypt; empty where it does.
  let kernelTLSProblem: String
  let kernelTunnels: UInt32
  let userSpaceTunnels: UInt32
  let streams: UInt32
  let registryCurrent: Bool
  let registryProblem: String
  let heldInstances: UInt32
  let runners: [RunnerReport]

  /// Nil for a runner that is alone.
  init?(_ status: Istbpf_Control_V1_GetStatusResponse) {
    guard status.hasCluster else { return nil }
    let message = status.cluster
    name = message.name
    tunnelAddress = message.tunnelAddress
    kernelTLS = message.kernelTlsProblem.isEmpty
    kernelTLSProblem = message.kernelTlsProblem
    kernelTunnels = message.kernelTunnels
    userSpaceTunnels = message.userSpaceTunnels
    streams = message.streams
    registryCurrent = message.registryCurrent
    registryProblem = message.registryProblem
    heldInstances = message.heldInstances
    runners = message.runners.map(RunnerReport.init)
  }

  /// What to show people.
  var text: String {
    let encryption =
      kernelTLS ? "encrypted by the kernel" : "encrypted by istbpf-relay: \(kernelTLSProblem)"
    var lines = [
      "cluster \(name): \(runners.count(where: \.present)) runners, tunnels at \(tunnelAddress), \(encryption)",
      "\(kernelTunnels) tunnels in the kernel, \(userSpaceTunnels) in user space, \(streams) connections",
    ]
    if !registryCurrent || !registryProblem.isEmpty {
      lines.append(
        "REGISTRY: " + (registryProblem.isEmpty ? "changes are not received" : registryProblem))
    }
    if heldInstances > 0 {
      lines.append("REGISTRY: \(heldInstances) instances vanished at once and are kept for now")
    }
    return lines.joined(separator: "\n")
  }
}

/// A runner as the commands' JSON has it.
struct RunnerReport: Encodable {
  let name: String
  let present: Bool
  /// Whether its istbpfd does not answer, and its istbpf-relay does.
  let stale: Bool
  /// Whether it is being emptied.
  let drained: Bool
  let address: String
  let version: String
  let instances: UInt32
  let numbers: UInt32

  /// What `istbpf runner list` says of it.
  var state: String {
    if stale { return "stale" }
    return !present ? "gone" : drained ? "drained" : "there"
  }

  init(_ message: Istbpf_Control_V1_RunnerStatus) {
    name = message.name
    present = message.present
    stale = message.stale
    drained = message.drained
    numbers = message.numbers
    address = message.address
    version = message.version
    instances = message.instances
  }
}
