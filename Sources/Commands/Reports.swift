import ControlAPI

/// A service as the commands' JSON has it.
struct ServiceReport: Encodable {
  let name: String
  let number: UInt32
  let address: String
  let port: UInt32
  let `private`: Bool
  let egress: [String]
  /// The names that `egress` has.
  let names: [OutsideNameReport]
  let denials: [String: UInt64]
  let url: String?
  /// Seconds; nil where it has no URL.
  let timeout: UInt32?

  init(_ message: Istbpf_Control_V1_ServiceStatus) {
    name = message.name
    number = message.number
    address = message.address
    port = message.port
    `private` = message.private
    egress = message.egress
    names = message.names.map(OutsideNameReport.init)
    url = message.url.isEmpty ? nil : message.url
    timeout = message.timeoutSeconds == 0 ? nil : message.timeoutSeconds
    denials = Dictionary(
      message.denials.map { ($0.reason, $0.count) }, uniquingKeysWith: { first, _ in first })
  }
}

/// An instance as the commands' JSON has it.
struct InstanceReport: Encodable {
  let instance: String
  let deployment: String
  let service: String
  let address: String
  let runner: String
  let cgroup: String
  /// The whole id; absent where it is no container.
  let container: String?
  let engine: String?
  let pids: [Int32]
  let hooks: [String]
  let missingHooks: [String]
  let switchAttached: Bool
  /// `interfaces`, `relay` or `none`; absent where no egress rule allows anything.
  let wayOut: String?
  let relayedConnections: UInt32

  init(_ message: Istbpf_Control_V1_InstanceStatus, deployment: String) {
    instance = message.instance
    self.deployment = deployment
    service = message.service
    address = message.address
    runner = message.runner
    cgroup = message.cgroupPath
    container = message.container.isEmpty ? nil : message.container
    engine = message.engine.isEmpty ? nil : message.engine
    pids = message.pids
    hooks = message.hooks
    missingHooks = message.missingHooks
    switchAttached = message.switchAttached
    wayOut = message.wayOut.isEmpty ? nil : message.wayOut
    relayedConnections = message.relayedConnections
  }

  /// Container and engine in a table, where ids that are only digits are as short as engines show them.
  var containerTexts: [String] {
    let id = container.map {
      $0.utf8.count == 64 && $0.allSatisfy(\.isHexDigit) ? String($0.prefix(12)) : $0
    }
    return [id ?? "-", engine ?? "-"]
  }
}
