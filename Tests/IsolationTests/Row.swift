import LinuxSystem

/// What keeps a container in, each of which can be taken away alone.
enum Layer: String, CaseIterable, Hashable {
  /// Programs at socket calls of the instance's cgroup: connect, sendmsg, sock_create, setsockopt.
  case hooks
  /// The backstop, `cgroup_skb`.
  case packets
  /// `sk_lookup` in the instance's network namespace.
  case lookup
  /// tc in the fabric.
  case `switch`
  /// The filter of socket families.
  case seccomp
  /// Fewer than root's capabilities.
  case capabilities
  /// Mounts that hide or protect, and the Landlock domain.
  case sandbox
}

/// What a row of the table tries.
struct Row {
  enum Group: String, CaseIterable {
    case tcp = "TCP out of the container"
    case fabric = "TCP to the fabric, the runner and addresses of nobody"
    case udp = "UDP, which does not exist"
    case families = "Other transports, raw and packet sockets"
    case forged = "Forged frames on ist0"
    case namespaces = "Namespaces, processes and cgroups made inside"
    case network = "Changes to the container's own network"
    case inbound = "From outside into the container"
    case runners = "Between two runners"
    case walls = "The walls themselves"
  }

  /// Whose program tries it.
  enum Side: String {
    case container
    /// The host as the container sees it: the gateway of its bridge.
    case gateway
    /// Another container of the same bridge, of nobody's.
    case neighbour
    /// An instance of another deployment.
    case deployment
  }

  /// How it is known that the attempt would succeed but for the layers: the same attempt without them.
  enum Proof {
    /// What it sends arrives.
    case arrives
    /// It says so itself.
    case says
    /// As `arrives` or `says`, on kernels that have what it takes.
    case whereKernelCan
    /// Nothing to take away: the kernel's structure stops it, as told.
    case structure(String)
  }

  let group: Group
  /// What is tried, in words.
  let attempt: String
  /// The function of Programs/ that does it: `tcp.gateway`.
  let program: String
  let side: Side
  let proof: Proof
  /// The first Linux that can stop it, where an older one cannot: Documentation/limits.md names it.
  let since: KernelRelease?
  /// Why one layer is all that stops it, where that is so.
  let alone: String?

  init(
    _ group: Group, _ attempt: String, _ program: String, from side: Side = .container,
    _ proof: Proof = .arrives, since: KernelRelease? = nil, alone: String? = nil
  ) {
    (self.group, self.attempt, self.program) = (group, attempt, program)
    (self.side, self.proof, self.since, self.alone) = (side, proof, since, alone)
  }

  /// Those for which one runner is enough.
  static let all = sockets + frames + inside
  static let every = all + withRules + runners

  /// Whether two layers must stop it, each by itself: all of TCP, UDP, and raw and packet sockets.
  var needsTwoLayers: Bool {
    guard alone == nil else { return false }
    return switch proof {
    case .structure: false
    case .says: group == .families || group == .udp
    case .arrives, .whereKernelCan: group != .walls
    }
  }
}
