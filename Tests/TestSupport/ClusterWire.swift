import Fabric
import LinuxSystem

/// What joins the runners of a `ClusterLaboratory`: a bridge in a namespace of its own, on which each
/// runner's namespace has one link. A runner whose link is down is silent, as one without power is.
public final class ClusterWire: Sendable {
  /// The address of the bridge's own namespace, where etcd is.
  public static let hub = "10.77.0.254"

  /// The bridge's namespace.
  public let name: String

  init(_ laboratory: NamespaceLaboratory) throws {
    (name, _) = try laboratory.namespace()
    try ip("-n", name, "link", "add", "wire", "type", "bridge")
    try ip("-n", name, "address", "add", "\(Self.hub)/24", "dev", "wire")
    try ip("-n", name, "link", "set", "wire", "up")
  }

  /// The address of runner `number`.
  public static func address(_ number: Int) -> String { "10.77.0.\(number)" }

  /// A namespace for runner `number`, on the wire.
  func makeRunner(_ number: Int, _ laboratory: NamespaceLaboratory) throws -> String {
    let (runner, _) = try laboratory.namespace()
    try ip(
      "link", "add", "wire", "netns", runner, "type", "veth", "peer", port(number), "netns", name)
    try ip("-n", runner, "link", "set", "lo", "up")
    try addAddress(Self.address(number), in: runner)
    try ip("-n", runner, "link", "set", "wire", "up")
    try ip("-n", name, "link", "set", port(number), "master", "wire")
    try mend(number)
    return runner
  }

  /// Gives a namespace that is no runner's a link on the wire, with this address.
  public func plug(in namespace: String, as address: String) throws {
    try ip(
      "link", "add", "wire", "netns", namespace, "type", "veth", "peer", "guest", "netns", name)
    try addAddress(address, in: namespace)
    try ip("-n", namespace, "link", "set", "wire", "up")
    try ip("-n", name, "link", "set", "guest", "master", "wire", "up")
  }

  /// Gives a runner's namespace one more address on the wire.
  public func addAddress(_ address: String, in runner: String) throws {
    try ip("-n", runner, "address", "add", "\(address)/24", "dev", "wire")
  }

  /// From now on nothing gets to runner `number` or away from it, and nobody is told.
  public func cut(_ number: Int) throws {
    try ip("-n", name, "link", "set", port(number), "nomaster")
  }

  /// Undoes `cut`.
  public func mend(_ number: Int) throws {
    try ip("-n", name, "link", "set", port(number), "master", "wire")
    try ip("-n", name, "link", "set", port(number), "up")
  }

  /// Whether the runners reach the hub, and so etcd, but not each other.
  public func separateRunners(_ areSeparate: Bool) throws {
    for number in 1...2 {
      try ip(
        "-n", name, "link", "set", port(number), "type", "bridge_slave",
        "isolated", areSeparate ? "on" : "off")
    }
  }

  private func port(_ number: Int) -> String { "runner\(number)" }

  private func ip(_ arguments: String...) throws {
    let result = try run(["ip"] + arguments)
    guard result.status == 0 else {
      throw RequirementMissing(
        description: "ip \(arguments.joined(separator: " ")): \(result.errors)")
    }
  }
}
