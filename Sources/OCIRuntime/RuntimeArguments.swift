/// What the arguments of an OCI runtime say of a container that is to be made.
///
/// There is no standard for them; these are the forms of runc's and crun's command lines: options with
/// one or two hyphens, values after `=` or as the next argument, and options before and after the id.
struct RuntimeArguments: Equatable, Sendable {
  /// The commands that make a container from a bundle.
  enum Command: String { case create, run, restore }

  /// The command; nil where it is another one, or none.
  var command: Command?
  /// The container's id.
  var container: String?
  /// The directory of the bundle.
  var bundle = "."
  /// Another file than the bundle's config.json (crun).
  var configurationFile: String?
  /// How many descriptors beyond standard error the container is to inherit: the option's value.
  var preservedDescriptors: String?

  /// Throws `ContainerRefusal` where it cannot be told which bundle is meant.
  init(_ arguments: [String]) throws(ContainerRefusal) {
    var reader = OptionReader(arguments)
    while let argument = reader.next(valued: Self.globalOptions) {
      guard case .positional(let word) = argument else { continue }
      guard let command = Command(rawValue: word) else { return }
      self.command = command
      try readMaking(&reader)
    }
  }

  /// The file that describes the container.
  var configurationPath: String { configurationFile ?? "\(bundle)/config.json" }

  private mutating func readMaking(_ reader: inout OptionReader) throws(ContainerRefusal) {
    var words: [String] = []
    while let argument = reader.next(valued: Self.makingOptions) {
      switch argument {
      case .option("bundle", let value), .option("b", let value): bundle = value ?? bundle
      case .option("config", let value), .option("f", let value): configurationFile = value
      case .option("preserve-fds", let value): preservedDescriptors = value
      case .option(let name, _) where Self.isAbbreviation(name):
        throw .unclearArguments("option --\(name) is abbreviated")
      case .option: break
      case .positional(let word): words.append(word)
      }
    }
    guard words.count <= 1 else {
      // One of them may be the value of an option that is not known here.
      throw .unclearArguments("there are \(words.count) ids: \(words.joined(separator: ", "))")
    }
    container = words.first
  }

  /// crun takes the beginning of a long option for the option.
  private static func isAbbreviation(_ name: String) -> Bool {
    name.count > 1 && ["bundle", "config", "preserve-fds"].contains { $0.hasPrefix(name) }
  }

  /// The options before the command that have a value.
  static let globalOptions: Set<String> = [
    "root", "log", "log-format", "log-level", "criu", "rootless", "cgroup-manager",
  ]

  private static let makingOptions: Set<String> = [
    "bundle", "b", "config", "f", "console-socket", "pid-file", "pidfd-socket", "preserve-fds",
    "image-path", "work-path", "parent-path", "manage-cgroups-mode", "page-server", "empty-ns",
    "status-fd", "lsm-profile", "lsm-mount-context",
  ]
}
