import ArgumentParser
import ControlAPI
import Glibc
import LinuxSystem
import Model

/// Runs a command as an instance of a service.
///
/// This process becomes the command: there is no supervisor, so signals, exit status and terminal
/// are the command's own, and killing it kills nothing else.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a command as an instance of a service.",
    discussion: """
      The command gets a network namespace with ist0 and lo, a cgroup with the BPF programs, \
      WARP_IST_<service> for every service of the deployment, and <service>.warp in /etc/hosts. It \
      may make sockets of the families unix, inet, inet6 and netlink, and has a container's usual \
      capabilities without NET_RAW. The instance ends with its last process.
      """)

  @Option(name: .shortAndLong, help: "The deployment.")
  var deployment: String

  @Option(name: .shortAndLong, help: "The service, which must be declared.")
  var service: String

  @Option(name: .shortAndLong, help: "Run as this user, a name or a number. (default: root)")
  var user: String?

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("One more variable; may be repeated.", valueName: "name=value"))
  var env: [String] = []

  @OptionGroup var options: InstallationOptions

  @Argument(parsing: .postTerminator, help: ArgumentHelp("The command.", valueName: "command"))
  var command: [String] = []

  func validate() throws {
    guard !command.isEmpty else {
      throw ValidationError("name the command after --: istbpf run -d D -s S -- COMMAND...")
    }
    for variable in env {
      guard let equals = variable.firstIndex(of: "="), equals != variable.startIndex else {
        throw ValidationError("--env \(quoted(variable)) is not of the form NAME=VALUE")
      }
    }
  }

  func run() throws {
    try failing {
      guard geteuid() == 0 else {
        throw SystemError(.notPermitted, "run", command[0], hint: "istbpf run must be root")
      }
      let installation = try options.chosen()
      let (deployment, service) = (try DeploymentName(deployment), try ServiceName(service))
      let joining = Joining(service, in: deployment, installation)
      let credentials = try Credentials(lookingUp: user ?? "root")
      let executable = try Executable(command[0])

      // The namespace first: the daemon puts ist0 into it. Nothing else runs in it yet.
      let namespace = try NetworkNamespace.anonymous()
      try namespace.enter()
      let sandbox = InstanceSandbox(
        hostsPath: try joining.enterInstance(around: namespace),
        hiddenDirectories: [installation.runtimeDirectory, installation.stateDirectory])
      try sandbox.enter(as: credentials)
      setEnvironment(try joining.variables(), user == nil ? nil : credentials)
      try executable.become(arguments: command)
    }
  }

  /// The caller's environment, the user's, the instance's, and what the command line says, the later
  /// over the earlier.
  private func setEnvironment(
    _ variables: [Istbpf_Control_V1_Variable], _ credentials: Credentials?
  ) {
    if let credentials {
      setenv("HOME", credentials.home, 1)
      setenv("SHELL", credentials.shell, 1)
      if let name = credentials.name {
        setenv("USER", name, 1)
        setenv("LOGNAME", name, 1)
      }
    }
    for variable in variables { setenv(variable.name, variable.value, 1) }
    for variable in env {
      let parts = variable.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      setenv(String(parts[0]), String(parts[1]), 1)
    }
  }
}
