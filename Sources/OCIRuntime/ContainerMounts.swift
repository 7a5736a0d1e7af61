import LinuxSystem

/// What is mounted in a container, and what of that is the host's: a decision over the tables of mounts as
/// the kernel has them, so that links, parent directories and mounts inside of mounts make no difference.
struct ContainerMounts {
  /// A place in a file system: two paths that lead to one are the same files.
  struct Place: Hashable {
    let device: String
    let path: String
  }

  /// A path of the host, without links, and where it leads.
  struct Path {
    let name: String
    let place: Place

    init(_ name: String, in table: MountTable) {
      (self.name, place) = (name, ContainerMounts.place(of: name, in: table))
    }
  }

  /// Directories of the host, by what a container may not do with them.
  struct Host {
    /// The host's own table.
    let table: MountTable
    /// Neither they nor what is in them may be seen.
    let hidden: [Path]
    /// They may not be in a mount; a part of them may, such as a volume that an engine keeps there.
    let undivided: [Path]
    /// Nothing in them may be written.
    let readOnly: [Path]

    init(table: MountTable, hidden: [String], undivided: [String], readOnly: [String]) {
      self.table = table
      self.hidden = hidden.map { Path($0, in: table) }
      self.undivided = undivided.map { Path($0, in: table) }
      self.readOnly = readOnly.map { Path($0, in: table) }
    }
  }

  /// The mounts that the container's first process sees.
  let table: MountTable
  /// The path of the container's root there.
  let root: String
  /// The cgroups of that process, one of each hierarchy, cgroup2 first: `/machine/x`.
  let cgroups: [String]
  /// The device of the container's own procfs, which is on /proc.
  let ownProc: String?
  /// Where the configuration has read-only mounts: a runtime may make them so later.
  let readOnlyPaths: Set<String>
  /// The file that is mounted on /etc/hosts, where that is.
  let hosts: Place

  /// What is wrong with them, for a person; nil where nothing is.
  func objection(_ host: Host) -> String? {
    for entry in inside {
      if let problem = objection(to: entry, host) { return problem }
    }
    return nil
  }

  /// The container's mounts: with the runtimes that change the root later, those below it.
  var inside: [MountTable.Entry] {
    table.entries.filter { Self.isInside($0.mountPoint, root) }
  }

  /// Whether the path of the host is in one of them.
  func shows(_ path: Path) -> Bool {
    inside.contains { Self.contains(Place(device: $0.device, path: $0.root), path.place) }
  }

  /// Whether the host has the file system too, and the mount is not the container's root.
  func isOfHost(_ entry: MountTable.Entry, _ host: Host) -> Bool {
    path(entry) != "/" && !Self.kernels.contains(entry.type)
      && !["proc", "sysfs"].contains(entry.type)
      && host.table.entries.contains { $0.device == entry.device }
  }

  /// The path of a mount as the container has it.
  func path(_ entry: MountTable.Entry) -> String {
    guard root != "/" else { return entry.mountPoint }
    let rest = String(entry.mountPoint.dropFirst(root.count))
    return rest.isEmpty ? "/" : rest
  }

  private func isReadOnly(_ entry: MountTable.Entry) -> Bool {
    if entry.isReadOnly { return true }
    // By a link in the image two mounts may be on one path, of which the configuration means one.
    let path = path(entry)
    return readOnlyPaths.contains(path) && inside.filter { self.path($0) == path }.count == 1
  }

  // MARK: File systems of the kernel

  private static let kernels: Set<String> = [
    "binfmt_misc", "bpf", "configfs", "debugfs", "efivarfs", "fusectl", "nfsd", "nsfs", "pstore",
    "resctrl", "rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "tracefs",
  ]

  private func objection(to entry: MountTable.Entry, _ host: Host) -> String? {
    let path = path(entry)
    func refused(_ what: String) -> String {
      "the container would have \(what), on \(path): run it without that mount"
    }
    switch entry.type {
    case "cgroup2":
      guard let own = cgroups.first, own != "/", Self.isInside(entry.root, own) else {
        return refused("cgroups that are not its own")
      }
    case "cgroup":
      guard cgroups.dropFirst().contains(where: { Self.isInside(entry.root, $0) }) else {
        return refused("cgroups that are not its own")
      }
    case "proc":
      guard let ownProc, entry.device == ownProc, Self.isInside(path, "/proc") else {
        return refused("another /proc than its own")
      }
    case "sysfs":
      guard isReadOnly(entry) else { return refused("the kernel's /sys, writable") }
    case "devtmpfs":
      // One node is what the rules of devices say, and nothing else.
      guard entry.root != "/" else { return refused("the host's /dev") }
    case "devpts", "mqueue":
      if host.table.entries.contains(where: { $0.device == entry.device }) {
        return refused("the host's \(entry.type == "mqueue" ? "message queues" : "terminals")")
      }
    case let type where Self.kernels.contains(type):
      return refused("the kernel's \(type)")
    default:
      return objection(toFilesOf: entry, host, refused)
    }
    return nil
  }

  // MARK: Files of the host

  private func objection(
    toFilesOf entry: MountTable.Entry, _ host: Host, _ refused: (String) -> String
  ) -> String? {
    let place = Place(device: entry.device, path: entry.root)
    if place == hosts, path(entry) == "/etc/hosts" { return nil }
    for path in host.hidden
    where Self.contains(place, path.place) || Self.contains(path.place, place) {
      return refused("\(path.name) of the host")
    }
    for path in host.undivided where Self.contains(place, path.place) {
      return refused("\(path.name) of the host")
    }
    for path in host.readOnly where !isReadOnly(entry) {
      // What an engine keeps images in may lie there.
      let isPart = Self.contains(path.place, place) && self.path(entry) != "/"
      if isPart || Self.contains(place, path.place) {
        return refused("\(path.name) of the host, writable")
      }
    }
    if host.table.entries.contains(where: {
      $0.device == entry.device && $0.mountPoint == "/dev/shm"
    }), entry.type == "tmpfs" {
      return refused("the host's shared memory")
    }
    return nil
  }

  // MARK: Places

  /// The place of `path`, whose links are resolved: of the last mount that is on its way.
  static func place(of path: String, in table: MountTable) -> Place {
    var found: MountTable.Entry?
    for entry in table.entries where isInside(path, entry.mountPoint) {
      if entry.mountPoint.utf8.count >= found?.mountPoint.utf8.count ?? 0 { found = entry }
    }
    guard let found else { return Place(device: "", path: path) }
    let rest = found.mountPoint == "/" ? path : String(path.dropFirst(found.mountPoint.count))
    let joined = found.root == "/" ? rest : found.root + (rest == "/" ? "" : rest)
    return Place(device: found.device, path: joined.isEmpty ? "/" : joined)
  }

  /// Whether `inner` is `outer` or lies in it.
  private static func contains(_ outer: Place, _ inner: Place) -> Bool {
    outer.device == inner.device && isInside(inner.path, outer.path)
  }

  private static func isInside(_ path: String, _ directory: String) -> Bool {
    directory == "/" || path == directory || path.hasPrefix(directory + "/")
  }
}
