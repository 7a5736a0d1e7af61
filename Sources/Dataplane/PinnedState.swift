import CDataplaneABI
import CLibbpf
import Foundation
import Glibc
import Model

/// What is pinned below bpffs, read without the daemon: for `inspect`, `status` and `uninstall`.
public final class PinnedState: Sendable {
  let maps: MapSet

  /// Opens the maps pinned in `directory`.
  public init(directory: String) throws(DataplaneError) {
    maps = try MapSet(pinnedIn: directory)
  }

  /// What a service was denied for one reason since its deployment was declared.
  public typealias Denials = (service: ServiceNumber, reason: Reason, count: UInt64)

  /// What was denied, by the deployment's id.
  public func denials() throws(DataplaneError) -> [DeploymentID: [Denials]] {
    var found: [DeploymentID: [Denials]] = [:]
    for entry in try maps.denials.entries() {
      guard let reason = Reason(rawValue: entry.key.reason) else { continue }
      found[DeploymentID(truncatingIfNeeded: entry.key.deployment), default: []].append(
        (ServiceNumber(truncatingIfNeeded: entry.key.service), reason, entry.value))
    }
    return found
  }

  /// The hooks whose program the kernel does not run for the cgroup open as `descriptor`: none
  /// where all is well. The kernel is asked for the programs in effect.
  public static func missingHooks(
    cgroup descriptor: Int32, path: String
  ) throws(DataplaneError) -> [String] {
    try CgroupPrograms.missing(on: descriptor, named: path)
  }

  /// The hooks that every instance's cgroup has.
  public static var hookNames: [String] { CgroupPrograms.hooks.map(\.name) }

  /// Whether the kernel has the switch on the link, in the calling thread's network namespace.
  public static func isSwitchAttached(to ifindex: Int32) -> Bool {
    SwitchProgram.isAttached(to: ifindex)
  }

  /// Takes every pin in `directory` away, and the directory. What is attached to cgroups and links
  /// stays until they go.
  public static func remove(directory: String) throws(DataplaneError) {
    do {
      if FileManager.default.fileExists(atPath: directory) {
        try FileManager.default.removeItem(atPath: directory)
      }
    } catch {
      throw .failed("remove", directory, -errno)
    }
  }
}
