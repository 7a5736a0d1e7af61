import ControlAPI
import Glibc
import LinuxSystem
import Model

/// An OCI runtime that makes containers instances and leaves everything else to the real runtime.
public struct Wrapper {
  private let arguments: [String]
  private let configuration: WrapperConfiguration
  private let own: String

  /// Does what an engine asks by `arguments`, the program's own path first; returns an exit status,
  /// or not at all, since this process becomes the real runtime. `own` is the path by which engines call istbpf-oci:
  /// not this process's binary, where a package has another program before it.
  public static func run(
    _ arguments: [String], calledAs own: String = "/proc/self/exe"
  ) async -> Int32 {
    let words = Array(arguments.dropFirst())
    let isHook = words.first == HookCommand.name
    do {
      let configuration = try WrapperConfiguration.read()
      if isHook {
        try await ContainerHook(installation: configuration.installation)
          .run(Array(words.dropFirst()))
        return 0
      }
      let runtime = try configuration.runtimePath(own: own)
      if WrapperDescription.isAsked(by: words) {
        // Standard output is the runtime's: engines read its version there.
        RuntimeLog.say("\(WrapperDescription(configuration: configuration, runtime: runtime))")
      }
      let descriptors = try InheritedDescriptors()
      try await Wrapper(arguments: words, configuration: configuration, own: own).prepare()
      try descriptors.restore()
      try become(runtime, words)
    } catch {
      // podman shows of what a runtime says the first line with these words, where there is one, and else may
      // show one of runc's that has nothing to do with it.
      if isHook {
        RuntimeLog.ofHook.report("\(error): operation not permitted")
      } else {
        RuntimeLog(words).report("\(error)")
      }
      return 1
    }
  }

  /// Where a container of a service is to be made, checks and edits its configuration.
  ///
  /// A container that makes no claim, and a process in one that is no instance, are left as they are, and
  /// Packaging/front counts on that: it has them made without this. What is to be done to them as well, it must know.
  private func prepare() async throws {
    let arguments = try RuntimeArguments(self.arguments)
    if let execution = try ExecArguments(self.arguments) {
      try ExecEdit(installation: configuration.installation).apply(to: execution)
    }
    guard arguments.command != nil else { return }
    let file = ConfigurationFile(path: arguments.configurationPath)
    var specification = try file.read()
    guard
      let claim = try ContainerClaim.read(
        from: specification, acceptingVariables: configuration.acceptsVariables)
    else { return }
    try ContainerChecks.check(
      specification, arguments,
      listenDescriptors: getenv("LISTEN_FDS").map { String(cString: $0) })
    let edit = try await edit(of: specification, claim, arguments)
    try edit.apply(to: &specification)
    try file.replace(with: specification)
  }

  private func edit(
    of specification: JSONValue, _ claim: ContainerClaim, _ arguments: RuntimeArguments
  ) async throws -> ContainerEdit {
    let root = specification["root"]?["path"]?.string ?? "rootfs"
    let hosts = HostsSource.text(
      at: ContainerEdit.hostsSource(in: specification),
      rootFileSystem: root.hasPrefix("/") ? root : "\(arguments.bundle)/\(root)")
    let prepared = try await ContainersClient.connect(
      to: configuration.installation, patience: .seconds(HookCommand.patience)
    ) { client, options in
      try await client.prepare(
        .with {
          $0.deployment = "\(claim.deployment)"
          $0.service = "\(claim.service)"
          $0.hosts = hosts
        }, options: options)
    }
    let configurationPath = try Self.absolute(arguments.configurationPath)
    return ContainerEdit(
      claim: claim, variables: prepared.variables.map { ($0.name, $0.value) },
      hostsPath: prepared.hostsPath, executable: try Self.absolute(own),
      hookEnvironment: ["\(Installation.variable)=\(configuration.installation.name)"]
        + RuntimeLog(self.arguments).variables,
      configurationPath: configurationPath,
      engine: EngineTraces.engine(at: configurationPath, specification))
  }

  private static func absolute(_ path: String) throws -> String {
    guard let resolved = SystemPaths.resolved(path) else { throw SystemError(.last, "find", path) }
    return resolved
  }

  private static func become(_ runtime: String, _ arguments: [String]) throws -> Never {
    var words: [UnsafeMutablePointer<CChar>?] = ([runtime] + arguments).map { strdup($0) }
    words.append(nil)
    execv(runtime, words)
    throw SystemError(.last, "execute", runtime)
  }
}
