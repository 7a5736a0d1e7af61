import Foundation
import LinuxSystem
import Synchronization
import TestSupport
import Testing

/// podman with storage, network and cgroups of its own, whose runtime is the wrapper, beside a runner
/// of one test.
package final class PodmanLaboratory: @unchecked Sendable {
  // Safe because each is used by the one test that it is made for.
  package let runner: RunnerLaboratory
  /// Where podman has everything, and a test what it wants.
  package let directory: String
  /// The network of the containers that have one.
  package let network: String
  package let cgroupParent: String
  /// What leads a command to the runner's network namespace, where it has one of its own.
  private let enter: [String]
  /// Held by a podman that may be this machine's first: it makes the locks that all of them share, and fails
  /// where another one does so at the same moment.
  private static let locks = Mutex(())

  private init(_ runner: RunnerLaboratory, enter: [String] = []) throws {
    self.runner = runner
    self.enter = enter
    let name = runner.installation.name
    // Short, and not below TMPDIR: podman makes sockets in it.
    directory = "/tmp/\(name)"
    network = name
    cgroupParent = "/\(name)-containers"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try makeRuntime()
    try Self.locks.withLock { _ in _ = try succeed("info") }
  }

  /// Runs `body` with podman and a runner whose daemon runs and knows the services `shop/app` and
  /// `shop/db`; requires root.
  package static func with(_ body: (PodmanLaboratory) throws -> Void) async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211")
      try with(runner, body)
    }
  }

  /// Runs `body` with podman beside `runner`.
  package static func with(
    _ runner: RunnerLaboratory, _ body: (PodmanLaboratory) throws -> Void
  ) throws {
    let podman = try PodmanLaboratory(runner)
    defer { podman.remove() }
    try podman.importImage()
    try podman.makeNetwork()
    try body(podman)
  }

  /// Runs `body` with a podman on each of two runners of one cluster, whose daemons run and know the
  /// services `shop/app` and `shop/db`; requires root.
  package static func withCluster(
    _ body: (ClusterLaboratory, PodmanLaboratory, PodmanLaboratory) throws -> Void
  ) async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let first = try PodmanLaboratory(cluster[1], enter: cluster.enter(1))
      defer { first.remove() }
      let second = try PodmanLaboratory(cluster[2], enter: cluster.enter(2))
      defer { second.remove() }
      for podman in [first, second] { try podman.makeNetwork() }
      try body(cluster, first, second)
    }
  }

  /// Makes `name` a network without names.
  package func makeNetwork(_ name: String? = nil) throws {
    // podman would choose the one that another test's podman chooses at the same moment.
    let subnet = "10.\(Int.random(in: 100...199)).\(Int.random(in: 0...255)).0/24"
    let command = ["network", "create", "--disable-dns", "--subnet", subnet, name ?? network]
    // It lists the machine's links, and fails where one that it has just seen is gone: another test's.
    for _ in 0..<20 {
      let result = try TestSupport.run(commandLine(command))
      if result.status == 0 { return }
      guard result.errors.contains("no such network interface") else { break }
    }
    try succeed(command)
  }

  // MARK: Commands

  /// Where the wrapper is that engines have for their runtime: with this test's daemon and, on a
  /// hybrid system, the one runtime that knows such.
  package var runtime: String { "\(directory)/istbpf-oci" }

  private static func isHybrid() throws -> Bool {
    try CgroupHierarchy.find().mountPoint != "/sys/fs/cgroup"
  }

  private static func realRuntime() throws -> String {
    try isHybrid() ? "/usr/sbin/runc" : "/usr/bin/crun"
  }

  private func makeRuntime() throws { try makeRuntime(before: Self.realRuntime()) }

  private func makeRuntime(before real: String) throws {
    let script = """
      #!/bin/sh
      ISTBPF_INSTALLATION=\(runner.installation.name) ISTBPF_OCI_RUNTIME=\(real) \
      exec \(try Product.istbpfOCI()) "$@"
      """
    try writeProgram(script, to: runtime)
  }

  /// Has a shell do `commands` each time that the wrapper has done its part of `create`, before the real
  /// runtime is called.
  package func interpose(_ commands: String) throws {
    let script = """
      #!/bin/sh
      for word in "$@"; do
        if [ "$word" = create ]; then \(commands); break; fi
      done
      exec \(try Self.realRuntime()) "$@"
      """
    try writeProgram(script, to: "\(directory)/interposed")
    try makeRuntime(before: "\(directory)/interposed")
  }

  /// Undoes `interpose`.
  package func interposeNothing() throws { try makeRuntime() }

  package func commandLine(_ arguments: [String]) -> [String] {
    enter + ["podman"] + places + ["--runtime", runtime] + arguments
  }

  /// The options of podman that say where it has everything.
  private var places: [String] {
    [
      "--root", "\(directory)/s", "--runroot", "\(directory)/r", "--tmpdir", "\(directory)/t",
      "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--network-config-dir",
      "\(directory)/n",
    ]
  }

  /// A program that is podman with the same places, but with the runtime and all else of
  /// `configuration`, a containers.conf.
  package func configured(by configuration: String) throws -> String {
    let (file, program) = ("\(directory)/containers.conf", "\(directory)/podman")
    try configuration.write(toFile: file, atomically: true, encoding: .utf8)
    try writeProgram(
      """
      #!/bin/sh
      CONTAINERS_CONF=\(file) exec podman \(places.joined(separator: " ")) "$@"
      """, to: program)
    return program
  }

  @discardableResult
  package func podman(_ arguments: String...) throws -> CommandResult {
    try TestSupport.run(commandLine(arguments))
  }

  /// Runs a command of podman that must work.
  @discardableResult
  package func succeed(_ arguments: String...) throws -> CommandResult { try succeed(arguments) }

  @discardableResult
  private func succeed(_ arguments: [String]) throws -> CommandResult {
    let result = try TestSupport.run(commandLine(arguments))
    #expect(result.status == 0, "podman \(arguments): \(result.errors)")
    return result
  }

  // MARK: Containers

  /// The options of `podman run` for a container of `service` (`shop/app`); nil for one of none.
  package func options(_ service: String?, network: String? = nil) -> [String] {
    var options = machineOptions + ["--network", network ?? self.network]
    if let parts = service?.split(separator: "/") {
      options += ["--annotation", "io.istbpf.deployment=\(parts[0])"]
      options += ["--annotation", "io.istbpf.service=\(parts[1])"]
    }
    return options
  }

  /// What every container here needs: limits that this machine's root may set, and a cgroup whose end is
  /// the test's.
  package var machineOptions: [String] {
    ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=100:100", "--cgroup-parent", cgroupParent]
  }

  /// The cgroup that a container will have, of cgroup2.
  package func cgroup(of container: String) throws -> Cgroup {
    try CgroupHierarchy.find().cgroup("\(cgroupParent)/libpod-\(container)")
  }

  /// Runs a container to its end.
  @discardableResult
  package func run(
    _ service: String?, network: String? = nil, _ more: [String] = [], _ command: String...
  ) throws -> CommandResult {
    try TestSupport.run(
      commandLine(
        ["run", "--rm"] + options(service, network: network) + more + ["tools"] + command))
  }

  /// Starts a container that does what it is told.
  package func instance(
    of service: String?, network: String? = nil, _ more: String...
  ) throws -> TestInstance {
    let conversation = try Conversation(
      commandLine(
        ["run", "--rm", "-i"] + Self.hostPrograms + options(service, network: network) + more
          + ["tools"] + TestInstance.command))
    runner.laboratory.atEnd { conversation.stop() }
    return try TestInstance(conversation)
  }

  /// The host's Python, for the program of `TestInstance`.
  package static let hostPrograms = ["/usr", "/lib", "/lib64"].flatMap { ["-v", "\($0):\($0):ro"] }

  private func importImage() throws {
    let archive = "\(directory)/image.tar"
    let made = try TestSupport.run(
      "bash", "-ec", ToolsImage.script(root: "\(directory)/image", archive: archive))
    #expect(made.status == 0, "\(made.errors)")
    try succeed("import", archive, "tools")
  }

  /// PostgreSQL's server and client, made of Debian's packages, as the image `name`.
  package func importPostgres(as name: String = "postgres", changes: [String] = []) throws {
    let options = changes.flatMap { ["--change", $0] }
    let archive = try PostgresImage.archive()
    let imported = try TestSupport.run(commandLine(["import"] + options + [archive, name]))
    #expect(imported.status == 0, "\(imported.errors)")
  }

  private func remove() {
    _ = try? podman("pod", "rm", "--all", "--force", "--time", "0")
    _ = try? podman("rm", "--all", "--force", "--time", "0")
    _ = try? podman("network", "rm", "--force", network)
    let script = """
      find /sys/fs/cgroup -depth -type d -path '*\(cgroupParent)*' -exec rmdir {} +
      \(ToolsImage.removal(of: directory))
      """
    if let result = try? TestSupport.run("bash", "-c", script), result.status != 0 {
      Issue.record("podman left something behind: \(result.errors)")
    }
  }
}
