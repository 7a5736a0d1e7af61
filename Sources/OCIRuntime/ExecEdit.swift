import Glibc
import LinuxSystem
import Model

/// What the wrapper changes of a process that is executed in a running container of a service
/// (`docker exec --privileged`): it has no more than the container itself.
struct ExecEdit {
  let installation: Installation

  /// Takes what is too much from the file with the process; throws `ContainerRefusal` for what is said by
  /// options, which only a person at the runtime's own command line uses.
  func apply(to arguments: ExecArguments) throws {
    guard let container = arguments.container,
      let bounding = try bounding(of: container, arguments.root)
    else { return }
    try ContainerChecks.checkDescriptors(
      arguments.preservedDescriptors, getenv("LISTEN_FDS").map { String(cString: $0) })
    for capability in arguments.capabilities where !bounding.contains(capability.uppercased()) {
      throw ContainerRefusal.capability(capability)
    }
    guard let path = arguments.processFile else { return }
    let file = ConfigurationFile(path: path)
    let given = try file.read()
    var process = given
    Capabilities.limit(&process, to: bounding)
    if process != given { try file.replace(with: process) }
  }

  /// The capabilities that a container of a service may have; nil where it is none that an earlier call made an
  /// instance: by what the runtime keeps, and by the daemon's records, of which one goes when the service is
  /// removed.
  private func bounding(of container: String, _ root: String?) throws -> Set<String>? {
    let roots = root.map { [$0] } ?? ["/run/runc", "/run/crun"]
    for bundle in try roots.compactMap({ try bundle(of: container, in: $0) }) {
      let specification = try Self.read("\(bundle)/config.json")
      let hooks = specification?["hooks"]?["createRuntime"]?.elements ?? []
      guard hooks.contains(where: HookCommand.isOurs) else { continue }
      let names = specification?["process"]?["capabilities"]?["bounding"]?.elements ?? []
      return Capabilities.kept.intersection(names.compactMap { $0.string?.uppercased() })
    }
    let directory = installation.containersDirectory
    for name in try Self.ifThere({ try DirectoryListing.names(in: directory) }) ?? [] {
      let record = try Self.read("\(directory)/\(name)")
      if record?["container"]?.string == container { return Capabilities.kept }
    }
    return nil
  }

  /// runc keeps the bundle among labels in state.json, crun in a file `status`.
  private func bundle(of container: String, in root: String) throws -> String? {
    func read(_ name: String) throws -> JSONValue? { try Self.read("\(root)/\(container)/\(name)") }
    if let bundle = try read("status")?["bundle"]?.string { return bundle }
    let labels = (try read("state.json")?["config"]?["labels"]?.elements ?? []).compactMap(\.string)
    return labels.first { $0.hasPrefix("bundle=") }.map { String($0.dropFirst("bundle=".count)) }
  }

  /// A file of JSON; nil where there is none. What cannot be read is not taken for none.
  private static func read(_ path: String) throws -> JSONValue? {
    try ifThere { try JSONValue(parsing: SmallFile.bytes(of: path)) }
  }

  private static func ifThere<Value>(_ body: () throws -> Value) throws -> Value? {
    do { return try body() } catch let error as SystemError
      where error.errno == .noSuchFileOrDirectory
    { return nil }
  }
}
