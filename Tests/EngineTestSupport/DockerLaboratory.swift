import Foundation
import LinuxSystem
import TestSupport
import Testing

/// Docker and its containerd, with directories, sockets and cgroups of their own, whose runtime is the
/// wrapper, beside a runner of one test.
package final class DockerLaboratory: @unchecked Sendable {
  // Safe because each is used by the one test that it is made for.
  package let runner: RunnerLaboratory
  /// Where the engines have everything, and a test what it wants.
  package let directory: String
  /// dockerd's options beside those that every test has, and what stands before its command.
  private let options: [String]
  private let wrapper: [String]
  private var daemon: Conversation?
  /// Counts the containers of ctr, whose ids are the caller's.
  private var count = 0

  private init(_ runner: RunnerLaboratory, options: [String], wrapper: [String]) throws {
    self.runner = runner
    (self.options, self.wrapper) = (options, wrapper)
    let name = runner.installation.name
    directory = "/tmp/\(name)d"
    try FileManager.default.createDirectory(
      atPath: "\(directory)/socket", withIntermediateDirectories: true)
    let script = """
      #!/bin/sh
      ISTBPF_INSTALLATION=\(name) ISTBPF_OCI_RUNTIME=/usr/sbin/runc exec \(try Product.istbpfOCI()) "$@"
      """
    try writeProgram(script, to: "\(directory)/istbpf-oci")
  }

  /// Runs `body` with the engines and a runner whose daemon runs and knows `shop/app`, `shop/db` and
  /// `other/app`; requires root. `wrapper` stands before dockerd's command.
  package static func with(
    options: [String] = [], wrapper: [String] = [], _ body: (DockerLaboratory) throws -> Void
  ) async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211")
      try runner.deploy("other", "app")
      try with(runner, options: options, wrapper: wrapper, body)
    }
  }

  /// Runs `body` with the engines beside `runner`.
  package static func with(
    _ runner: RunnerLaboratory, options: [String] = [], wrapper: [String] = [],
    _ body: (DockerLaboratory) throws -> Void
  ) throws {
    let docker = try DockerLaboratory(runner, options: options, wrapper: wrapper)
    defer { docker.remove() }
    try docker.startDaemon()
    try docker.makeImage()
    try body(docker)
  }

  /// The file system of the image, for ctr, which takes a directory.
  package var root: String { "\(directory)/image" }
  package var socket: String { "\(directory)/socket/docker.sock" }
  package var containerdSocket: String { "\(directory)/e/containerd/containerd.sock" }

  // MARK: The engine's processes

  /// Starts dockerd, and waits until it answers.
  package func startDaemon() throws {
    let name = runner.installation.name
    // Docker would choose the network that another test's chooses at the same moment.
    let pool = "base=10.\(Int.random(in: 200...240)).\(Int.random(in: 0...255)).0/24,size=28"
    let configured = try run([
      try Product.istbpf(), "runtime", "configure", "--engine", "docker", "--runtime-path",
      "\(directory)/istbpf-oci", "--config-file", "\(directory)/daemon.json",
    ])
    guard configured.status == 0 else { throw EngineFailure(configured.errors) }
    let daemon = try Conversation(
      wrapper + [
        "dockerd", "--config-file", "\(directory)/daemon.json", "--data-root", "\(directory)/d",
        "--exec-root", "\(directory)/e", "--pidfile",
        "\(directory)/pid", "--host", "unix://\(socket)", "--iptables=false", "--ip6tables=false",
        "--bridge=none", "--storage-driver=vfs", "--log-level=error", "--cgroup-parent",
        "/\(name)-docker", "--default-address-pool", pool,
      ] + options)
    self.daemon = daemon
    guard
      try runner.eventually(
        within: 60, { try !daemon.isRunning || docker(["version"]).status == 0 }), daemon.isRunning
    else { throw EngineFailure("dockerd: \(daemon.errorText)") }
  }

  /// Ends dockerd with a signal, and waits for its end and for that of containerd, which goes with it.
  package func endDaemon(_ signal: Int32) throws {
    guard let daemon else { return }
    let containerd = try containerd()
    daemon.signal(signal)
    // The next dockerd takes a zombie for a containerd that runs; and who reaps it here may take its time.
    guard runner.eventually(within: 60, { !daemon.isRunning && kill(containerd, 0) != 0 }) else {
      throw EngineFailure("dockerd goes on: \(daemon.errorText)")
    }
  }

  /// Has dockerd read its configuration again.
  package func reload() { daemon?.signal(SIGHUP) }

  /// The containerd that dockerd has started.
  package func containerd() throws -> pid_t {
    try number(try SmallFile.read("\(directory)/e/containerd/containerd.pid"))
  }

  /// The shim of a container: what containerd has started for it.
  package func shim(of container: String) throws -> pid_t {
    let status = try SmallFile.read("/proc/\(process(of: container))/status").split(separator: "\n")
    return try number(
      String(status.first { $0.hasPrefix("PPid:") }?.split(separator: "\t").last ?? ""))
  }

  /// The first process of a container.
  package func process(of container: String) throws -> pid_t {
    try number(docker(["inspect", "--format", "{{.State.Pid}}", container]).output)
  }

  private func number(_ text: String) throws -> pid_t {
    guard let number = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)), number > 1
    else { throw EngineFailure("\(text) is no process") }
    return number
  }

  // MARK: Docker

  private func makeImage() throws {
    let made = try run(
      "bash", "-ec", ToolsImage.script(root: root, archive: "\(directory)/image.tar"))
    #expect(made.status == 0, "\(made.errors)")
    let imported = try docker(["import", "\(directory)/image.tar", "tools"])
    #expect(imported.status == 0, "\(imported.errors)")
  }

  /// Docker's client. Debian's: another one first on PATH may be too new for the daemon.
  private var client: [String] { ["/usr/bin/docker", "--host", "unix://\(socket)"] }

  /// Runs a command of Docker's client.
  @discardableResult
  package func docker(_ arguments: [String]) throws -> CommandResult {
    try run(client + arguments)
  }

  /// Runs a command of Docker's client that must work, and returns what it says.
  @discardableResult
  package func succeed(_ arguments: String...) throws -> String {
    let result = try docker(arguments)
    #expect(result.status == 0, "docker \(arguments): \(result.errors)")
    return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// The command line of `docker run` for a container of `service` (`shop/app`); nil for one of none.
  package func commandLine(
    _ service: String?, _ options: [String], _ command: [String]
  ) -> [String] {
    var words = client + ["run"]
    words += PodmanLaboratory.hostPrograms
    // Docker before 24 has no annotations.
    if let parts = service?.split(separator: "/") {
      words += ["--runtime", "istbpf", "--env", "WARP_DEPLOYMENT=\(parts[0])"]
      words += ["--env", "WARP_SERVICE=\(parts[1])"]
    }
    return words + options + ["tools"] + command
  }

  /// Starts a container that does what it is told.
  package func instance(of service: String?, _ options: [String]) throws -> TestInstance {
    let conversation = try Conversation(
      commandLine(service, ["--rm", "--interactive"] + options, TestInstance.command))
    runner.laboratory.atEnd { conversation.stop() }
    return try TestInstance(conversation)
  }

  /// Starts a container in the background, and returns its id.
  @discardableResult
  package func start(
    _ name: String, _ service: String, _ options: [String] = [], _ command: String...
  ) throws -> String {
    let options = ["--detach", "--network", "none", "--name", name] + options
    let result = try run(commandLine(service, options, command))
    #expect(result.status == 0, "\(result.errors)")
    return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// PostgreSQL's server and client as the image `name`.
  package func importPostgres(as name: String, changes: [String]) throws {
    let options = changes.flatMap { ["--change", $0] }
    let result = try docker(["import"] + options + [PostgresImage.archive(), name])
    #expect(result.status == 0, "\(result.errors)")
  }

  // MARK: containerd

  private var ctr: [String] {
    ["ctr", "--address", containerdSocket, "--namespace", runner.installation.name]
  }

  /// Runs a command of containerd's client.
  @discardableResult
  package func ctr(_ arguments: [String]) throws -> CommandResult { try run(ctr + arguments) }

  /// Runs a container of containerd's to its end, or with `--detach` until it runs.
  package func runByCTR(
    _ service: String?, id: String? = nil, _ options: [String], _ command: [String]
  ) throws -> CommandResult { try run(commandLineOfCTR(service, id: id, options, command)) }

  /// The command line of `ctr run` for a container of `service`.
  package func commandLineOfCTR(
    _ service: String?, id: String? = nil, _ options: [String], _ command: [String]
  ) -> [String] {
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
    return ctr + words + options + ["--rootfs", root, id] + command
  }

  // MARK: The end

  private func remove() {
    if daemon?.isRunning != true { try? startDaemon() }
    for id in (try? docker(["ps", "--all", "--quiet"]).output.split(separator: "\n")) ?? [] {
      _ = try? docker(["rm", "--force", String(id)])
    }
    let tasks = (try? ctr(["containers", "list", "--quiet"]).output.split(separator: "\n")) ?? []
    for id in tasks.map(String.init) {
      _ = try? ctr(["tasks", "kill", "--signal", "SIGKILL", id])
      _ = try? ctr(["tasks", "delete", "--force", id])
      _ = try? ctr(["containers", "delete", id])
    }
    for id in (try? docker(["network", "ls", "--quiet", "--filter", "type=custom"]))?
      .output.split(separator: "\n") ?? []
    {
      _ = try? docker(["network", "rm", String(id)])
    }
    do { try endDaemon(SIGTERM) } catch { daemon?.stop() }
    let script = """
      find /sys/fs/cgroup -depth -type d -path '*/\(runner.installation.name)-docker*' -exec rmdir {} +
      \(ToolsImage.removal(of: directory))
      """
    if let result = try? run("bash", "-c", script), result.status != 0 {
      Issue.record("Docker left something behind: \(result.errors)")
    }
  }
}
