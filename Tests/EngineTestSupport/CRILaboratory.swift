import Foundation
import LinuxSystem
import TestSupport
import Testing

/// containerd as a kubelet uses it, by its CRI, with directories, a bridge and cgroups of its own, whose
/// RuntimeClass `istbpf` is the wrapper, beside a runner of one test.
package final class CRILaboratory: @unchecked Sendable {
  // Safe because each is used by the one test that it is made for.
  package let runner: RunnerLaboratory
  package let directory: String
  private let bridge: String
  private let subnet: String
  private var daemon: Conversation?
  private var pods: [Pod] = []

  /// What holds the namespaces of containers.
  package struct Pod {
    package let id: String
    fileprivate let configuration: [String: Any]
  }

  private init(_ runner: RunnerLaboratory, configuration: String) throws {
    self.runner = runner
    let name = runner.installation.name
    directory = "/tmp/\(name)k"
    // A link's name has 15 bytes.
    bridge = "cri\(UInt32.random(in: 0...UInt32.max))"
    subnet = "10.\(Int.random(in: 241...250)).\(Int.random(in: 0...255)).0/24"
    try FileManager.default.createDirectory(
      atPath: "\(directory)/net", withIntermediateDirectories: true)
    let script = """
      #!/bin/sh
      ISTBPF_INSTALLATION=\(name) ISTBPF_OCI_RUNTIME=/usr/sbin/runc exec \(try Product.istbpfOCI()) "$@"
      """
    try writeProgram(script, to: wrapper)
    try Data(
      (machineConfiguration
        + configuration.replacingOccurrences(of: "/usr/bin/istbpf-oci", with: wrapper)).utf8
    ).write(to: URL(fileURLWithPath: "\(directory)/config.toml"))
    try Data(network.utf8).write(to: URL(fileURLWithPath: "\(directory)/net/10-bridge.conflist"))
  }

  /// Runs `body` with containerd, of whose configuration `configuration` is the part about the wrapper, and
  /// a runner whose daemon runs and knows `shop/app` and `shop/db`; requires root.
  package static func with(
    configuration: String, _ body: (CRILaboratory) throws -> Void
  ) async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db:3211")
      let laboratory = try CRILaboratory(runner, configuration: configuration)
      defer { laboratory.remove() }
      try laboratory.startDaemon()
      try laboratory.makeImage()
      try body(laboratory)
    }
  }

  private var wrapper: String { "\(directory)/istbpf-oci" }
  private var socket: String { "\(directory)/containerd.sock" }
  private static let image = "docker.io/library/tools:1"
  /// The address of the host on the pods' bridge.
  package var gateway: String { subnet.replacingOccurrences(of: "0/24", with: "1") }

  /// `restrict_oom_score_adj`: this machine's root may not have SYS_RESOURCE.
  private var machineConfiguration: String {
    """
    version = 2
    root = "\(directory)/root"
    state = "\(directory)/state"
    disabled_plugins = ["io.containerd.internal.v1.opt"]
    [grpc]
      address = "\(socket)"
    [plugins."io.containerd.grpc.v1.cri"]
      sandbox_image = "\(Self.image)"
      disable_tcp_service = true
      restrict_oom_score_adj = true
      stream_server_port = "0"
      [plugins."io.containerd.grpc.v1.cri".containerd]
        snapshotter = "native"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".cni]
        bin_dir = "/usr/lib/cni"
        conf_dir = "\(directory)/net"

    """
  }

  private var network: String {
    """
    {"cniVersion":"0.4.0","name":"\(bridge)","plugins":[{"type":"bridge","bridge":"\(bridge)","isGateway":true,
    "ipam":{"type":"host-local","dataDir":"\(directory)/ipam","ranges":[[{"subnet":"\(subnet)"}]],
    "routes":[{"dst":"0.0.0.0/0"}]}}]}
    """
  }

  // MARK: containerd

  /// Starts containerd, and waits until its CRI is ready.
  package func startDaemon() throws {
    let daemon = try Conversation(["containerd", "--config", "\(directory)/config.toml"])
    self.daemon = daemon
    let isReady = try runner.eventually(within: 60) {
      guard daemon.isRunning else { return true }
      let status = try call("Status")
      return status.status == 0 && !status.output.contains("\"status\": false")
    }
    guard isReady, daemon.isRunning else { throw EngineFailure("containerd: \(daemon.errorText)") }
  }

  /// Kills containerd with SIGKILL.
  package func killDaemon() { daemon?.stop() }

  private func makeImage() throws {
    let made = try run("bash", "-ec", ToolsImage.dockerArchive(named: Self.image, in: directory))
    #expect(made.status == 0, "\(made.errors)")
    let imported = try run(
      "ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", "--snapshotter",
      "native", "\(directory)/archive.tar")
    #expect(imported.status == 0, "\(imported.errors)")
  }

  /// Calls a method of the CRI's RuntimeService.
  package func call(_ method: String, _ request: [String: Any] = [:]) throws -> CommandResult {
    let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Programs/cri.py").path
    let text = String(decoding: try JSONSerialization.data(withJSONObject: request), as: UTF8.self)
    return try run(["/usr/bin/python3", "-B", program, socket, method, text])
  }

  /// Calls a method that must work, and returns the field `field` of what it answers.
  private func ask(
    _ method: String, _ request: [String: Any], for field: String
  ) throws -> String {
    let result = try call(method, request)
    let answer =
      try? JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
    guard result.status == 0, let value = answer?[field] as? String else {
      throw EngineFailure("\(method): \(result.errors)")
    }
    return value
  }

  // MARK: Pods and containers

  /// Makes a pod. `options` are its namespaces, as NamespaceOption has them; by default as a kubelet
  /// does, with processes of each container's own.
  package func pod(
    _ name: String, annotations: [String: String] = [:],
    options: [String: String] = ["pid": "CONTAINER"]
  ) throws -> Pod {
    let configuration: [String: Any] = [
      "metadata": ["name": name, "uid": name, "namespace": "default"],
      "log_directory": "\(directory)/logs", "annotations": annotations,
      "linux": [
        "cgroup_parent": "/\(runner.installation.name)-pods",
        "security_context": ["namespace_options": options],
      ],
    ]
    let id = try ask(
      "RunPodSandbox", ["config": configuration, "runtime_handler": "istbpf"],
      for: "pod_sandbox_id")
    let pod = Pod(id: id, configuration: configuration)
    pods.append(pod)
    return pod
  }

  /// Makes a container of a pod, which does not run yet; its id.
  package func create(
    _ name: String, in pod: Pod, variables: [String: String] = [:],
    annotations: [String: String] = [:], options: [String: String] = ["pid": "CONTAINER"],
    _ command: String
  ) throws -> String {
    let configuration: [String: Any] = [
      "metadata": ["name": name], "image": ["image": Self.image],
      "command": ["/bin/sh", "-c", command], "annotations": annotations,
      "envs": variables.map { ["key": $0.key, "value": $0.value] },
      "linux": ["security_context": ["namespace_options": options]],
    ]
    return try ask(
      "CreateContainer",
      ["pod_sandbox_id": pod.id, "config": configuration, "sandbox_config": pod.configuration],
      for: "container_id")
  }

  /// Starts a container that was made.
  package func start(_ id: String) throws -> CommandResult {
    try call("StartContainer", ["container_id": id])
  }

  /// Stops a container at once, and removes it.
  package func remove(_ id: String) throws {
    for method in ["StopContainer", "RemoveContainer"] {
      let result = try call(method, ["container_id": id])
      #expect(result.status == 0, "\(method): \(result.errors)")
    }
  }

  /// What a shell in a container says to a command, on standard output and standard error.
  package func execute(in id: String, _ command: String) throws -> String {
    let output = try ask(
      "ExecSync", ["container_id": id, "cmd": ["/bin/sh", "-c", "(\(command)) 2>&1"]], for: "stdout"
    )
    return String(decoding: Data(base64Encoded: output) ?? Data(), as: UTF8.self)
  }

  // MARK: The end

  private func remove() {
    if daemon?.isRunning != true { try? startDaemon() }
    for pod in pods {
      for method in ["StopPodSandbox", "RemovePodSandbox"] {
        _ = try? call(method, ["pod_sandbox_id": pod.id])
      }
    }
    daemon?.signal(SIGTERM)
    if !runner.eventually(within: 20, { daemon?.isRunning != true }) { daemon?.stop() }
    let script = """
      ip link delete \(bridge) || true
      find /sys/fs/cgroup -depth -type d -path '*/\(runner.installation.name)-pods*' -exec rmdir {} +
      \(ToolsImage.removal(of: directory))
      """
    if let result = try? run("bash", "-c", script), result.status != 0 {
      Issue.record("containerd left something behind: \(result.errors)")
    }
  }
}
