/// What the arguments of an OCI runtime say of a process that is to be executed in a container: the forms of
/// runc's and crun's command lines, as in `RuntimeArguments`.
struct ExecArguments: Equatable, Sendable {
  /// Where the runtime keeps its containers, if that is said.
  var root: String?
  /// The container's id.
  var container: String?
  /// The file with the process.
  var processFile: String?
  /// Capabilities that are added by options.
  var capabilities: [String] = []
  /// The option's value.
  var preservedDescriptors: String?

  /// nil where it is another command. Throws `ContainerRefusal` where an option is abbreviated.
  init?(_ arguments: [String]) throws(ContainerRefusal) {
    var reader = OptionReader(arguments)
    var isExec = false
    while !isExec, let argument = reader.next(valued: RuntimeArguments.globalOptions) {
      switch argument {
      case .option("root", let value): root = value
      case .option: break
      case .positional(let word):
        guard word == "exec" else { return nil }
        isExec = true
      }
    }
    guard isExec else { return nil }
    // What comes after the id is the command.
    while container == nil, let argument = reader.next(valued: Self.options) {
      switch argument {
      case .option("process", let value), .option("p", let value): processFile = value
      case .option("cap", let value), .option("c", let value):
        capabilities += value.map { [$0] } ?? []
      case .option("preserve-fds", let value): preservedDescriptors = value
      case .option(let name, _) where Self.isAbbreviation(name):
        throw .unclearArguments("option --\(name) is abbreviated")
      case .option: break
      case .positional(let word): container = word
      }
    }
  }

  private static func isAbbreviation(_ name: String) -> Bool {
    name.count > 1
      && ["process", "cap", "preserve-fds"].contains { $0 != name && $0.hasPrefix(name) }
      && !options.contains(name)
  }

  private static let options: Set<String> = [
    "additional-gids", "apparmor", "c", "cap", "cgroup", "console-socket", "cwd", "e", "env", "g",
    "p",
    "pid-file", "pidfd-socket", "preserve-fds", "process", "process-label", "u", "user",
  ]
}
