import Glibc
import LinuxSystem
import Model

/// Which namespaces a container may share, and with whom. What counts is what the kernel says of its
/// first process: a configuration can name any namespace by a path.
struct ContainerNamespaces {
  /// The container's first process, which waits.
  let process: Int32
  /// The cgroups of the instances that the container may share processes with: those of its own service,
  /// which have the same rules.
  let equals: [Cgroup]
  /// The cgroups of the instances of other deployments.
  let strangers: [Cgroup]

  /// What is wrong with them, for a person; nil where nothing is. Throws `SystemError` where the
  /// container's own cannot be read.
  ///
  /// A process that can be seen can be traced, and /proc/PID/root leads to its files: so every process in
  /// the container's pid namespace must be one that is guarded in the same way.
  func objection() throws -> String? {
    let (own, daemon) = (try Own(process), try Own(getpid()))
    guard let namespace = own.process, !daemon.isUnreadable else {
      return "the namespaces of its process \(process) cannot be looked at"
    }
    if daemon.processes.contains(namespace) {
      return
        "it would share the host's processes, and their files with them: run it without --pid host"
    }
    if own.ipc == daemon.ipc {
      return
        "it would share the host's System V memory and message queues: run it without --ipc host"
    }
    let depth = try ProcessNamespaces.depth(of: process)
    let hierarchy = try CgroupHierarchy.find()
    for other in try ProcessNamespaces.allProcesses() where other != process {
      guard let neighbour = try Self.unlessEnded(other, { try Own($0) }) else { continue }
      if let problem = try objection(to: neighbour, own, depth, hierarchy) { return problem }
    }
    return nil
  }

  private func objection(
    to other: Own, _ own: Own, _ depth: Int, _ hierarchy: CgroupHierarchy
  ) throws -> String? {
    if let mount = other.mount, mount == own.mount {
      return "it would share the mounts of \(other.name): give it a mount namespace of its own"
    }
    // What cannot be looked at may be in there, unless it is nearer to the host.
    let seesIt =
      other.isUnreadable
      ? try Self.unlessEnded(other.id, { try ProcessNamespaces.depth(of: $0) }) ?? 0 >= depth
      : own.process.map(other.processes.contains) ?? true
    let sharesMemory = other.ipc != nil && other.ipc == own.ipc
    guard seesIt || sharesMemory,
      let cgroup = try Self.unlessEnded(other.id, { try hierarchy.cgroup(of: $0) })
    else { return nil }
    if seesIt, !equals.contains(where: { cgroup.isInside($0) }) {
      return
        "it would share the processes of \(other.name), which is no instance of the same service: run "
        + "it without --pid container:"
    }
    if sharesMemory, strangers.contains(where: { cgroup.isInside($0) }) {
      return
        "it would share System V memory with \(other.name) of another deployment: run it without "
        + "--ipc container:"
    }
    return nil
  }

  /// The namespaces of one process.
  private struct Own {
    let id: Int32
    /// Those pid namespaces that see it, its own first; none where it cannot be looked at.
    let processes: [ProcessNamespaces.Identity]
    let ipc, mount: ProcessNamespaces.Identity?

    init(_ id: Int32) throws {
      self.id = id
      var found:
        ([ProcessNamespaces.Identity], ProcessNamespaces.Identity?, ProcessNamespaces.Identity?)
      do {
        found = (
          try ProcessNamespaces.processNamespaces(of: id),
          try ProcessNamespaces.identity(.ipc, of: id),
          try ProcessNamespaces.identity(.mount, of: id)
        )
      } catch let error as SystemError where error.errno == .permissionDenied {
        // One that another security module than capabilities protects.
        found = ([], nil, nil)
      }
      (processes, ipc, mount) = found
    }

    var isUnreadable: Bool { processes.isEmpty }

    /// Its own pid namespace.
    var process: ProcessNamespaces.Identity? { processes.first }

    var name: String {
      let command = (try? SmallFile.read("/proc/\(id)/comm")) ?? ""
      return "process \(id) (\(command.split(separator: "\n").first ?? "?"))"
    }
  }

  /// What `body` says of a process; nil where the process has ended, a zombie included. Any other
  /// failure is thrown: what cannot be looked at is not taken for harmless.
  private static func unlessEnded<Value>(
    _ process: Int32, _ body: (Int32) throws -> Value
  ) throws -> Value? {
    do {
      return try body(process)
    } catch let error as SystemError {
      guard [.noSuchProcess, .noSuchFileOrDirectory].contains(error.errno) else { throw error }
      return nil
    }
  }
}

extension Cgroup {
  /// Whether it is `other`, or lies inside it.
  func isInside(_ other: Cgroup) -> Bool { path == other.path || path.hasPrefix(other.path + "/") }
}
