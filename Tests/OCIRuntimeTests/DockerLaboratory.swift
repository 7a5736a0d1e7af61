import Foundation
import LinuxSystem
import TestSupport
import Testing

/// Docker and its containerd, with directories, sockets and cgroups of their own, whose runtime is the
/// wrapper, beside a runner of one test.
final class DockerLaboratory: @unchecked Sendable {
  // Safe because each is used by the one test that it is made for.
  let runner: RunnerLaboratory
  /// Where the engines have everything, and a test what it wants.
  let directory: String
  private let daemon: Conversation
  /// Counts the containers of ctr, whose ids are the caller's.
  private var count = 0

  private init(_ runner: RunnerLaboratory) throws {
    self.runner = runner
    let name = runner.installation.name
    directory = "/tmp/\(name)d"
    try FileManager.default.createDirectory(
      atPath: "\(directory)/socket", withIntermediateDirectories: true)
    let script = """
      #!/bin/sh
      ISTBPF_INSTALLATION=\(name) ISTBPF_OCI_RUNTIME=/usr/sbin/runc exec \(try Product.istbpfOCI()) "$@"
      """
    try writeProgram(script, to: "\(directory)/istbpf-oci")
    daemon = try Conversation([
      "dockerd", "--data-root", "\(directory)/d", "--exec-root", "\(directory)/e", "--pidfile",
      "\(directory)/pid", "--host", "unix://\(directory)/socket/docker.sock", "--iptables=false",
      "--ip6tables=false", "--bridge=none", "--storage-driver=vfs", "--log-level=error",
      "--cgroup-parent", "/\(name)-docker", "--add-runtime", "istbpf=\(directory)/istbpf-oci",
    ])
  }

  /// Runs `body` with the engines and a runner whose daemon runs and knows `shop/app`, `shop/db` and
  /// `other/app`; requires root.
  static func with(_ body: (DockerLaboratory) throws -> Void) async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211")
      try runner.deploy("other", "app")
      let docker = try DockerLaboratory(runner)
      defer { docker.remove() }
      guard try runner.eventually(within: 60, { try docker.docker(["version"]).status == 0 }) else {
        throw EngineFailure("dockerd: \(docker.daemon.errorText)")
      }
      try docker.makeImage()
      try body(docker)
    }
  }

  /// The file system of the image, for ctr, which takes a directory.
  var root: String { "\(directory)/image" }
  var socket: String { "\(directory)/socket/docker.sock" }
  var containerdSocket: String { "\(directory)/e/containerd/containerd.sock" }

  private func makeImage() throws {
    let made = try run(
      "bash", "-ec", ToolsImage.script(root: root, archive: "\(directory)/image.tar"))
    #expect(made.status == 0, "\(made.errors)")
    let imported = try docker(["import", "\(directory)/image.tar", "tools"])
    #expect(imported.status == 0, "\(imported.errors)")
  }

  /// Runs a command of Docker's client. Debian's: another one first on PATH may be too new for the daemon.
  @discardableResult
  func docker(_ arguments: [String]) throws -> CommandResult {
    try run(["/usr/bin/docker", "--host", "unix://\(socket)"] + arguments)
  }

  /// The command line of `docker run` for a container of `service` (`shop/app`); nil for one of none.
  func commandLine(_ service: String?, _ options: [String], _ command: [String]) -> [String] {
    var words = ["/usr/bin/docker", "--host", "unix://\(socket)", "run"]
    words += PodmanLaboratory.hostPrograms
    // Docker before 24 has no annotations.
    if let parts = service?.split(separator: "/") {
      words += ["--runtime", "istbpf", "--env", "WARP_DEPLOYMENT=\(parts[0])"]
      words += ["--env", "WARP_SERVICE=\(parts[1])"]
    }
    return words + options + ["tools"] + command
  }

  /// Starts a container that does what it is told.
  func instance(of service: String?, _ options: [String]) throws -> TestInstance {
    let conversation = try Conversation(
      commandLine(service, ["--rm", "--interactive"] + options, TestInstance.command))
    runner.laboratory.atEnd { conversation.stop() }
    return try TestInstance(conversation)
  }

  // MARK: containerd

  private var ctr: [String] {
    ["ctr", "--address", containerdSocket, "--namespace", runner.installation.name]
  }

  /// Runs a command of containerd's client.
  @discardableResult
  func ctr(_ arguments: [String]) throws -> CommandResult { try run(ctr + arguments) }

  /// Runs a container of containerd's to its end, or with `--detach` until it runs.
  func runByCTR(
    _ service: String?, id: String? = nil, _ options: [String], _ command: [String]
  ) throws -> CommandResult {
    count += 1
    let name = runner.installation.name
    let id = id ?? "\(name)-\(count)"
    var words = ["run"]
    if !options.contains("--detach") { words.append("--rm") }
    if !options.contains("--cgroup") { words += ["--cgroup", "/\(name)-docker/\(id)"] }
    for directory in ["/usr", "/lib", "/lib64"] {
      words += ["--mount", "type=bind,src=\(directory),dst=\(directory),options=rbind:ro"]
    }
    if let parts = service?.split(separator: "/") {
      words += ["--runc-binary", "\(directory)/istbpf-oci"]
      words += ["--annotation", "io.istbpf.deployment=\(parts[0])"]
      words += ["--annotation", "io.istbpf.service=\(parts[1])"]
    }
    return try ctr(words + options + ["--rootfs", root, id] + command)
  }

  private func remove() {
    for id in (try? docker(["ps", "--all", "--quiet"]).output.split(separator: "\n")) ?? [] {
      _ = try? docker(["rm", "--force", String(id)])
    }
    let tasks = (try? ctr(["containers", "list", "--quiet"]).output.split(separator: "\n")) ?? []
    for id in tasks.map(String.init) {
      _ = try? ctr(["tasks", "kill", "--signal", "SIGKILL", id])
      _ = try? ctr(["tasks", "delete", "--force", id])
      _ = try? ctr(["containers", "delete", id])
    }
    daemon.signal(SIGTERM)
    if !runner.eventually(within: 20, { !daemon.isRunning }) { daemon.stop() }
    let script = """
      find /sys/fs/cgroup -depth -type d -path '*/\(runner.installation.name)-docker*' -exec rmdir {} +
      \(ToolsImage.removal(of: directory))
      """
    if let result = try? run("bash", "-c", script), result.status != 0 {
      Issue.record("Docker left something behind: \(result.errors)")
    }
  }
}
