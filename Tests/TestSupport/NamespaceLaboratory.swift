import Fabric
import Foundation
import LinuxSystem
import Model

/// Namespaces and cgroups for one test, with names that no other test or process has, and gone when
/// it ends, whether it passes or throws.
public final class NamespaceLaboratory: @unchecked Sendable {
  // Safe because `lock` guards what changes.
  private let lock = NSLock()
  private var cleanups: [() -> Void] = []
  private var number = 0
  private let identifier: String

  private init() {
    identifier = "t\(getpid())-\(UInt32.random(in: 0...0xffff))"
  }

  /// Runs `body` with a laboratory of its own; requires root.
  public static func with<Value>(_ body: (NamespaceLaboratory) throws -> Value) throws -> Value {
    try requireRoot()
    let laboratory = NamespaceLaboratory()
    defer { laboratory.cleanUp() }
    return try body(laboratory)
  }

  /// Runs `body` with a laboratory of its own; requires root.
  public static func with<Value>(
    isolation: isolated (any Actor)? = #isolation,
    _ body: (NamespaceLaboratory) async throws -> Value
  ) async throws -> Value {
    try requireRoot()
    let laboratory = NamespaceLaboratory()
    defer { laboratory.cleanUp() }
    return try await body(laboratory)
  }

  /// A name that nothing else has, at most 24 bytes long beside `suffix`.
  public func uniqueName(_ suffix: String = "n") -> String {
    lock.withLock {
      number += 1
      return "\(identifier)-\(number)\(suffix)"
    }
  }

  /// Runs `cleanup` when the laboratory ends; the last comes first.
  public func atEnd(_ cleanup: @escaping () -> Void) { lock.withLock { cleanups.append(cleanup) } }

  /// A new network namespace that `ip netns` knows, and its name.
  public func namespace() throws -> (name: String, namespace: NetworkNamespace) {
    let name = uniqueName()
    atEnd { try? NetworkNamespace.delete(named: name) }
    return (name, try NetworkNamespace.create(named: name))
  }

  /// A fabric that exists, of a deployment of its own.
  public func fabric(plan: AddressPlan = .standard) throws -> FabricNamespace {
    let fabric = unmadeFabric(plan: plan)
    try fabric.create()
    return fabric
  }

  /// A fabric that does not exist, but is deleted at the end if the test makes it.
  public func unmadeFabric(plan: AddressPlan = .standard) -> FabricNamespace {
    let fabric = FabricNamespace(name: "istbpf+\(uniqueName("d"))", plan: plan)
    atEnd { try? fabric.delete() }
    return fabric
  }

  /// A new cgroup.
  public func cgroup() throws -> Cgroup {
    let cgroup = try CgroupHierarchy.find().cgroup("istbpf-test-\(uniqueName("c"))")
    atEnd {
      try? cgroup.kill()
      try? cgroup.removeRecursively(patience: .seconds(2))
    }
    try cgroup.create()
    return cgroup
  }

  /// Runs the command `arguments` in the namespace `name`, to its end.
  @discardableResult
  public func run(in name: String, _ arguments: String...) throws -> CommandResult {
    try TestSupport.run(["ip", "netns", "exec", name] + arguments)
  }

  /// Starts the command `arguments` in the namespace `name`; it is killed at the end.
  public func start(in name: String, _ arguments: String...) throws -> RunningCommand {
    let command = try RunningCommand(["ip", "netns", "exec", name] + arguments)
    atEnd { command.stop() }
    return command
  }

  private func cleanUp() {
    let all = lock.withLock {
      let all = cleanups
      cleanups = []
      return all
    }
    for cleanup in all.reversed() { cleanup() }
  }
}
