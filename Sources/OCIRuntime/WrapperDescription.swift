import LinuxSystem
import Model

/// What `istbpf-oci --version` and `--help` say before the real runtime says the same of itself.
struct WrapperDescription: CustomStringConvertible {
  let configuration: WrapperConfiguration
  /// The real runtime's path.
  let runtime: String

  /// Whether the runtime's `arguments` ask for it: an option or command that stands alone.
  static func isAsked(by arguments: [String]) -> Bool {
    guard arguments.count == 1, let word = arguments.first else { return false }
    return ["--version", "-version", "-v", "-V", "--help", "-help", "-h", "help"].contains(word)
  }

  var description: String {
    let file = WrapperConfiguration.path
    return """
      istbpf-oci \(istbpfVersion), before the runtime \(runtime)
      configuration: \(SmallFile.exists(file) ? file : "\(file), which is not there")
      installation: \(configuration.installation.name)
      a container names its service by annotations\(configuration.acceptsVariables ? ", or else by variables" : " only")

      """
  }
}
