import Glibc
import LinuxSystem
import Model

/// What the wrapper is told: `oci.runtime` and `oci.variables` of the configuration file, over which
/// the environment goes (`ISTBPF_OCI_RUNTIME`, `ISTBPF_OCI_VARIABLES`), as for the daemon.
///
/// The environment is the engine's; nothing of a container's reaches it.
struct WrapperConfiguration: Equatable, Sendable {
  static let path = "/etc/istbpf/config.json"

  /// The real runtime, a path; nil where the first of runc and crun is to be taken.
  var runtime: String?
  /// Whether variables, which may come from an image, name a container's deployment and service.
  var acceptsVariables = true
  /// The installation whose daemon is asked.
  var installation = Installation.standard

  /// What is wrong with the configuration.
  struct Invalid: Error, Equatable, CustomStringConvertible {
    let description: String
  }

  /// Reads `file`, which may be missing. Throws `Invalid`, `InvalidName` or `SystemError`.
  static func read(
    file: String = path,
    environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }
  ) throws -> WrapperConfiguration {
    var configuration = WrapperConfiguration()
    if SmallFile.exists(file) {
      let section: JSONValue?
      let bytes = try SmallFile.bytes(of: file)
      // A misspelt `variables` would leave what it was to forbid.
      do { try ConfigurationKeys.check(json: bytes, file: file, section: "oci") } catch {
        throw Invalid(description: "\(error)")
      }
      do {
        section = try JSONValue(parsing: bytes)["oci"]
      } catch {
        throw Invalid(description: "\(file) is no JSON: \(error)")
      }
      if let runtime = section?["runtime"] {
        guard let path = runtime.string else {
          throw Invalid(description: "\(file): oci.runtime is no string")
        }
        configuration.runtime = path
      }
      if let variables = section?["variables"] {
        configuration.acceptsVariables = try flag(
          String(decoding: variables.text, as: UTF8.self), "\(file): oci.variables")
      }
    }
    if let runtime = environment("ISTBPF_OCI_RUNTIME") { configuration.runtime = runtime }
    if let variables = environment("ISTBPF_OCI_VARIABLES") {
      configuration.acceptsVariables = try flag(variables, "ISTBPF_OCI_VARIABLES")
    }
    if let name = environment(Installation.variable) {
      configuration.installation = try Installation(name)
    }
    return configuration
  }

  private static func flag(_ text: String, _ name: String) throws(Invalid) -> Bool {
    switch text {
    case "true": return true
    case "false": return false
    default: throw Invalid(description: "\(name) is \(quoted(text)), neither true nor false")
    }
  }

  /// The real runtime's path. `own` is this program, which may have the name of a runtime.
  ///
  /// PATH is not asked: it is whatever the engine's start left.
  func runtimePath(own: String) throws(Invalid) -> String {
    let names = ["runc", "crun"]
    let directories = [
      "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
    ]
    let candidates =
      runtime.map { [$0] } ?? names.flatMap { name in directories.map { "\($0)/\(name)" } }
    let ownPath = Self.resolved(own)
    if let found = candidates.first(where: {
      access($0, X_OK) == 0 && Self.resolved($0) != ownPath
    }) {
      return found
    }
    throw Invalid(
      description: runtime.map { "the runtime \($0) is not there, or cannot be executed" }
        ?? "there is neither runc nor crun: install one, or set oci.runtime in \(Self.path)")
  }

  private static func resolved(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
