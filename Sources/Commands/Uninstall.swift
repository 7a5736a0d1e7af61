import ArgumentParser
import Dataplane
import Fabric
import Foundation
import FrontDoor
import Glibc
import LinuxSystem
import Model
import RelayControl

/// Removes every trace of an installation from the machine.
struct Uninstall: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "uninstall",
    abstract: "Remove every trace from this runner: programs, maps, namespaces, cgroups, registry.",
    discussion: "istbpfd must be stopped. Instances that still run are named, and nothing is done.")

  @Flag(help: "Kill the instances that still run.")
  var force = false

  @Flag(
    help: "Leave the registry: what is declared is there again after the next start of istbpfd.")
  var keepRegistry = false

  @Flag(help: "Remove nothing; fail where instances still run. istbpfd may run.")
  var check = false

  @OptionGroup var options: InstallationOptions

  func validate() throws {
    guard !check || !(force || keepRegistry) else {
      throw ValidationError("--check takes neither --force nor --keep-registry")
    }
  }

  func run() throws {
    try failing {
      let installation = try options.chosen()
      guard geteuid() == 0 else {
        throw SystemError(.notPermitted, "uninstall", installation.name, hint: "you must be root")
      }
      let cgroups = try CgroupHierarchy.find().cgroup(installation.cgroupName)
      if check { return try refuse(live(instances(in: cgroups) + containers(of: installation))) }
      let lock = try takeLock(installation)
      try endInstances(try instances(in: cgroups) + containers(of: installation))
      if installation == .standard, SmallFile.exists("/run/systemd/system") {
        // Else it would start them again where they do not end in order.
        _ = CapturedCommand(["systemctl", "stop", "istbpf-relay@*.service"], seconds: 30)
      }
      let relayLock = try endRelays(installation)
      if FrontDoor.end(of: installation) { print("removed the front door's haproxy") }
      try removeFabrics(installation)
      if cgroups.exists {
        // What was killed takes a while to be gone on a busy machine.
        try removed("cgroup \(cgroups.path)") {
          try cgroups.removeRecursively(patience: .seconds(20))
        }
      }
      var directories = [installation.pinDirectory]
      if !keepRegistry { directories.append(installation.stateDirectory) }
      for directory in directories where FileManager.default.fileExists(atPath: directory) {
        try removed(directory) { try FileManager.default.removeItem(atPath: directory) }
      }
      try removeRuntimeDirectory(installation)
      _ = consume lock
      _ = consume relayLock
    }
  }

  /// Keeps a daemon from starting meanwhile; none where there is no directory for the lock.
  private func takeLock(_ installation: Installation) throws -> LockFile? {
    guard FileManager.default.fileExists(atPath: installation.runtimeDirectory) else { return nil }
    do {
      return try LockFile(path: installation.lockPath)
    } catch let held as LockFile.Held {
      let pid = held.pid.map { " (pid \($0))" } ?? ""
      throw Refusal(description: "istbpfd is running\(pid): stop it first")
    }
  }

  /// Ends those that run, and keeps others from starting meanwhile: one that has begun is found only when it listens.
  private func endRelays(_ installation: Installation) throws -> LockFile? {
    let until = ContinuousClock.now + .seconds(20)
    while true {
      for relay in RelayInstance.all(installation) {
        relay.end()
        print("ended istbpf-relay")
      }
      guard FileManager.default.fileExists(atPath: installation.runtimeDirectory) else {
        return nil
      }
      guard mkdir(installation.relayDirectory, 0o700) == 0 || errno == EEXIST else {
        throw SystemError(.last, "make directory", installation.relayDirectory)
      }
      do { return try LockFile(path: installation.relayLockPath) } catch let held as LockFile.Held {
        guard ContinuousClock.now < until else {
          let pid = held.pid.map { " (pid \($0))" } ?? ""
          throw Refusal(
            description: "istbpf-relay\(pid) neither listens nor ends: end it, and try again")
        }
        usleep(10_000)
      }
    }
  }

  /// Under another name first: what is starting just now, and knows nothing of its end yet, then makes nothing in it.
  /// One that could not be removed whole before goes too.
  private func removeRuntimeDirectory(_ installation: Installation) throws {
    let files = FileManager.default
    let (directory, other) = (
      installation.runtimeDirectory, installation.runtimeDirectory + ".removed"
    )
    if files.fileExists(atPath: other) {
      try removed(other) { try files.removeItem(atPath: other) }
    }
    guard files.fileExists(atPath: directory) else { return }
    // A directory that something is mounted at cannot be renamed.
    let isRenamed = rename(directory, other) == 0
    try removed(directory) { try files.removeItem(atPath: isRenamed ? other : directory) }
  }

  private func instances(in cgroups: Cgroup) throws -> [Cgroup] {
    guard cgroups.exists else { return [] }
    return try cgroups.children().flatMap { try $0.children() }
  }

  /// The cgroups of containers, which their engines made and remove.
  private func containers(of installation: Installation) throws -> [Cgroup] {
    let directory = installation.containersDirectory
    return try DirectoryListing.names(in: directory).compactMap { name in
      let text = try SmallFile.bytes(of: "\(directory)/\(name)")
      let record = try JSONDecoder().decode(ContainerRecord.self, from: Data(text))
      return record.isAttached ? Cgroup(path: record.cgroupPath) : nil
    }
  }

  private func live(_ cgroups: [Cgroup]) throws -> [Cgroup] {
    try cgroups.filter { try $0.hasProcesses() }
  }

  private func refuse(_ live: [Cgroup]) throws {
    guard !live.isEmpty else { return }
    throw Refusal(
      description: """
        instances still run in \(live.map(\.path).sorted().joined(separator: ", ")): end them, or \
        kill them with istbpf uninstall --force
        """)
  }

  private func endInstances(_ cgroups: [Cgroup]) throws {
    let live = try live(cgroups)
    if !force { try refuse(live) }
    for cgroup in live { try removed("processes of \(cgroup.path)") { try cgroup.kill() } }
  }

  private func removeFabrics(_ installation: Installation) throws {
    for name in try NetworkNamespace.names()
    where installation.deployment(ofFabric: name) != nil {
      // Another program's namespace may have such a name.
      guard try FabricNamespace(name: name, plan: .standard).isFabric() else { continue }
      try removed("namespace \(name)") { try NetworkNamespace.delete(named: name) }
    }
  }

  private func removed(_ what: String, _ body: () throws -> Void) throws {
    try body()
    print("removed \(what)")
  }

  private struct Refusal: Error, CustomStringConvertible {
    let description: String
  }
}
