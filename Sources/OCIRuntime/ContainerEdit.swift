import LinuxSystem
import Model

/// What the wrapper changes in config.json to make a container an instance.
///
/// A second edit of the same file replaces what the first one wrote, since runc's own users start a
/// bundle again and again.
package struct ContainerEdit {
  let claim: ContainerClaim
  /// The variables that the daemon names, in its order.
  let variables: [(name: String, value: String)]
  /// The daemon's hosts file for this container.
  let hostsPath: String
  /// This program, for the hooks.
  let executable: String
  /// The hooks' whole environment: nothing of the engine's or the image's.
  let hookEnvironment: [String]
  /// The file that is edited: the hook looks there for what the container was to be.
  let configurationPath: String
  /// Whose container it is.
  let engine: ContainerEngine

  package init(
    claim: ContainerClaim, variables: [(name: String, value: String)], hostsPath: String,
    executable: String, hookEnvironment: [String], configurationPath: String,
    engine: ContainerEngine
  ) {
    (self.claim, self.variables, self.hostsPath) = (claim, variables, hostsPath)
    (self.executable, self.hookEnvironment) = (executable, hookEnvironment)
    self.configurationPath = configurationPath
    self.engine = engine
  }

  package func apply(to specification: inout JSONValue) throws(ContainerRefusal) {
    setEnvironment(&specification)
    mountHosts(&specification)
    addCgroupNamespace(&specification)
    if var process = specification["process"] {
      Capabilities.limit(&process)
      specification["process"] = process
    }
    SystemPaths.protect(&specification)
    DeviceRules.addDenial(to: &specification)
    try SeccompEdit.apply(to: &specification)
    addHooks(&specification)
  }

  private func setEnvironment(_ specification: inout JSONValue) {
    let names = Set(variables.map(\.name))
    let others = (specification["process"]?["env"]?.elements ?? []).filter { element in
      guard let name = element.string?.prefix(while: { $0 != "=" }) else { return true }
      return !names.contains(String(name))
    }
    let ours = variables.map { JSONValue.string("\($0.name)=\($0.value)") }
    specification["process"]?["env"] = .array(others + ours)
  }

  // MARK: /etc/hosts

  private static let hostsFile = "/etc/hosts"

  /// The file that the engine would mount on /etc/hosts, which the daemon's begins with; nil where
  /// there is none. The last mount is the one that is seen.
  static func hostsSource(in specification: JSONValue) -> String? {
    (specification["mounts"]?.elements ?? []).last(where: isOnHosts)?["source"]?.string
  }

  /// Read-only, since the file belongs to the daemon, which keeps it up to date.
  private func mountHosts(_ specification: inout JSONValue) {
    let others = (specification["mounts"]?.elements ?? []).filter { !Self.isOnHosts($0) }
    let mount = JSONValue.with([
      "destination": .string(Self.hostsFile), "type": .string("bind"),
      "source": .string(hostsPath),
      "options": .strings(["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"]),
    ])
    specification["mounts"] = .array(others + [mount])
  }

  private static func isOnHosts(_ mount: JSONValue) -> Bool {
    let parts = (mount["destination"]?.string ?? "").split(separator: "/").filter { $0 != "." }
    return parts == ["etc", "hosts"]
  }

  // MARK: Namespaces

  /// Engines that know no option for it (podman kube play, ctr) leave the host's to a container.
  private func addCgroupNamespace(_ specification: inout JSONValue) {
    let namespaces = specification["linux"]?["namespaces"]?.elements ?? []
    guard !namespaces.contains(where: { $0["type"]?.string == "cgroup" }) else { return }
    specification["linux"]?["namespaces"] = .array(
      namespaces + [.with(["type": .string("cgroup")])])
  }

  // MARK: Hooks

  /// crun's annotation (crun(1)); runc has no such.
  private static let hookErrors = "run.oci.hooks.stderr"

  /// `createRuntime` runs when the container has its namespaces and cgroup, and before its first
  /// process does anything of the image's.
  private func addHooks(_ specification: inout JSONValue) {
    var hooks = specification["hooks"] ?? .object([])
    let attach = [HookCommand.name, HookCommand.attach, "\(claim.deployment)", "\(claim.service)"]
    let detach = [HookCommand.name, HookCommand.detach]
    for (stage, words) in [
      ("createRuntime", attach + [hostsPath, configurationPath, engine.rawValue]),
      ("poststop", detach + [hostsPath]),
    ] {
      let others = (hooks[stage]?.elements ?? []).filter { !HookCommand.isOurs($0) }
      let hook = JSONValue.with([
        "path": .string(executable),
        "args": .strings([executable] + words),
        "env": .strings(hookEnvironment),
        "timeout": .integer(HookCommand.timeLimit),
      ])
      hooks[stage] = .array([hook] + others)
    }
    specification["hooks"] = hooks
    // crun closes its hooks' standard error unless it is told where that goes.
    var annotations = specification["annotations"] ?? .object([])
    if annotations[Self.hookErrors] == nil {
      annotations[Self.hookErrors] = .string("/dev/stderr")
      specification["annotations"] = annotations
    }
  }
}
