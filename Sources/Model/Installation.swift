import FoundationEssentials

/// Where an installation keeps what it has on the machine. All of it derives from one name, so that
/// two installations (a test's and the real one) live side by side on one machine.
public struct Installation: Hashable, Sendable {
  /// The variable that names another installation than the standard one, for daemon and commands.
  public static let variable = "ISTBPF_INSTALLATION"

  /// What is installed where nothing else is said.
  public static let standard = Installation(validated: "istbpf")

  /// The name: `istbpf`.
  public let name: String

  private init(validated: String) { name = validated }

  /// An installation with the rules of a deployment's name, up to 32 characters.
  public init(_ name: String) throws(InvalidName) {
    guard (try? DeploymentName(name)) != nil, name.utf8.count <= 32 else {
      throw InvalidName(
        .installation, name,
        must: "have 1 to 32 of a-z, A-Z, 0-9, '-', '_' and '.', and begin and end alphanumeric",
        cause: "it becomes a part of file names; look at \(Self.variable)")
    }
    self.name = name
  }

  /// What outlives a restart of the machine: the registry.
  public var stateDirectory: String { "/var/lib/\(name)" }

  /// The registry's database.
  public var registryPath: String { "\(stateDirectory)/registry.sqlite" }

  /// What goes with a restart of the machine: socket, lock, hosts files.
  public var runtimeDirectory: String { "/run/\(name)" }

  /// The socket of the control API.
  public var controlSocketPath: String { "\(runtimeDirectory)/control.sock" }

  /// Where `istbpf connect` is joined to instances.
  public var connectSocketPath: String { "\(runtimeDirectory)/connect.sock" }

  /// The socket of the API for containers.
  public var containersSocketPath: String { "\(runtimeDirectory)/containers.sock" }

  /// What the daemon remembers of containers: where their cgroups are.
  public var containersDirectory: String { "\(runtimeDirectory)/containers" }

  /// Locked by the one daemon, and holds its process id.
  public var lockPath: String { "\(runtimeDirectory)/istbpfd.lock" }

  /// The last lines of the daemon's log, and with `.1` behind it those before.
  public var logPath: String { "\(runtimeDirectory)/log" }

  /// What istbpf-relay keeps: what istbpfd said last, its socket, lock and log. Only root may enter it.
  public var relayDirectory: String { "\(runtimeDirectory)/relay" }

  /// The socket on which istbpfd says what is to be carried.
  public var relaySocketPath: String { "\(relayDirectory)/control.sock" }

  /// Locked by the one istbpf-relay, and holds its process id.
  public var relayLockPath: String { "\(relayDirectory)/istbpf-relay.lock" }

  /// The last lines of its log, and with `.1` behind it those before.
  public var relayLogPath: String { "\(relayDirectory)/log" }

  /// The instances' hosts files.
  public var hostsDirectory: String { "\(runtimeDirectory)/hosts" }

  /// What is known of the names outside that services may connect to.
  public var namesDirectory: String { "\(runtimeDirectory)/names" }

  /// The hosts files of containers. No deployment has such a name.
  public var containerHostsDirectory: String { "\(hostsDirectory)/.containers" }

  /// The pinned maps, on bpffs.
  public var pinDirectory: String { "/sys/fs/bpf/\(name)" }

  /// The cgroup of all instances, below the root of cgroup2.
  public var cgroupName: String { name }

  /// What the names of the fabrics' network namespaces begin with.
  ///
  /// No name has a `+`, so that `shop` of the installation `istbpf-dev` is not taken for `dev-shop` of
  /// `istbpf`.
  public var fabricPrefix: String { self == .standard ? "\(name)-" : "\(name)+" }

  /// The deployment whose fabric is the network namespace `name`; nil where it is not this
  /// installation's.
  public func deployment(ofFabric name: String) -> DeploymentName? {
    guard name.hasPrefix(fabricPrefix) else { return nil }
    return try? DeploymentName(String(name.dropFirst(fabricPrefix.count)))
  }
}

extension Installation {
  /// The installation that `name`, or else the environment, or else nothing names.
  public static func chosen(
    _ name: String?, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(InvalidName) -> Installation {
    guard let name = name ?? environment[variable] else { return .standard }
    return try Installation(name)
  }
}
