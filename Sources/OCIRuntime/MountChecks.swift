import Glibc
import LinuxSystem
import Model

/// Looks at what is mounted in a container whose first process waits for the hook `createRuntime`.
struct MountChecks {
  let installation: Installation
  /// The container's first process.
  let process: Int32
  /// The container's config.json.
  let configurationPath: String
  /// The daemon's hosts file for the container.
  let hostsPath: String

  /// Directories of engines and of the host that hold other containers, or sockets.
  private static let undivided = [
    "/root/.ssh", "/run/containerd", "/run/containers", "/run/crio", "/run/crun", "/run/dbus",
    "/run/docker", "/run/netns", "/run/runc", "/run/systemd", "/run/user", "/var/lib/containerd",
    "/var/lib/containers", "/var/lib/docker", "/var/lib/kubelet",
  ]

  /// Throws `ContainerRefusal` for what the container must not have.
  func check() throws {
    // The daemon decides on namespaces; but of the host's processes this would say that /proc is the host's.
    if try ProcessNamespaces.processNamespaces(of: getpid()).contains(
      ProcessNamespaces.identity(.process, of: process))
    {
      throw ContainerRefusal.hostProcesses
    }
    let specification = try ConfigurationFile(path: configurationPath).read()
    let path = specification["root"]?["path"]?.string ?? "rootfs"
    let bundle = configurationPath.split(separator: "/").dropLast().joined(separator: "/")
    let absolute = path.hasPrefix("/") ? path : "/\(bundle)/\(path)"
    let table = try MountTable.of(process: process)
    let root = try root(SystemPaths.resolved(absolute) ?? absolute, in: table)
    let host = ContainerMounts.Host(
      table: try MountTable.current(), hidden: hidden,
      undivided: Self.undivided.compactMap(SystemPaths.resolved),
      readOnly: SystemPaths.ofHost.compactMap(SystemPaths.resolved))
    let mounts = ContainerMounts(
      table: table, root: root, cgroups: try cgroups(), ownProc: try ownProc(root, table),
      readOnlyPaths: Self.readOnlyPaths(specification),
      hosts: ContainerMounts.place(of: hostsPath, in: host.table))
    if let problem = try mounts.objection(host) ?? objection(toSocketsIn: mounts, host) {
      throw ContainerRefusal.mount(problem)
    }
  }

  private func objection(
    toSocketsIn mounts: ContainerMounts, _ host: ContainerMounts.Host
  ) throws -> String? {
    let found = try HostSockets.find { mounts.shows(.init($0, in: host.table)) }
    if let path = found.powerful.first {
      return
        "the container would have a socket of a program of the host, \(path): run it without the "
        + "mount that it is in"
    }
    // One that is mounted by itself, and of which the kernel does not tell whose it is.
    let known = Set(found.harmless.map { ContainerMounts.place(of: $0, in: host.table) })
    if let name = found.unplaced.first {
      for entry in mounts.inside where mounts.isOfHost(entry, host) {
        if let problem = objection(toSocketsIn: entry, of: mounts, but: known, unplaced: name) {
          return problem
        }
      }
    }
    for entry in mounts.inside
    where HostSockets.isSocket("/proc/\(process)/root\(entry.mountPoint)")
      && !known.contains(ContainerMounts.Place(device: entry.device, path: entry.root))
    {
      return
        "the container would have a socket of an unknown program, on \(mounts.path(entry)): run it "
        + "without that mount"
    }
    return nil
  }

  /// A program of the host's has a socket whose name is relative, and whose directory is not known: it may be
  /// each socket that is in the mount and is not known to be harmless.
  private func objection(
    toSocketsIn entry: MountTable.Entry, of mounts: ContainerMounts,
    but known: Set<ContainerMounts.Place>, unplaced name: String
  ) -> String? {
    let place = mounts.path(entry)
    let advice =
      "a program of the host has a socket of the relative name \(name), which may be in it: run the "
      + "container without that mount, or have the program bind an absolute path"
    do {
      let sockets = try SocketSearch.find(below: "/proc/\(process)/root\(entry.mountPoint)")
      let unknown = sockets.first {
        !known.contains(.init(device: entry.device, path: Self.join(entry.root, $0)))
      }
      return unknown.map {
        "the container would have the socket \(Self.join(place, $0)); \(advice)"
      }
    } catch {
      return "the mount on \(place) cannot be searched for sockets (\(error)); \(advice)"
    }
  }

  private static func join(_ directory: String, _ path: String) -> String {
    directory == "/" ? "/\(path)" : path.isEmpty ? directory : "\(directory)/\(path)"
  }

  /// What is the daemon's.
  private var hidden: [String] {
    [
      installation.runtimeDirectory, installation.stateDirectory, installation.pinDirectory,
      "/etc/istbpf",
    ].filter(SmallFile.exists).compactMap(SystemPaths.resolved)
  }

  /// Where the container's root is for its process: still at the bundle's, or at `/` where the runtime has
  /// changed the root by now.
  private func root(_ path: String, in table: MountTable) throws -> String {
    if table.entries.contains(where: { $0.mountPoint == path }) { return path }
    var (own, host) = (stat(), stat())
    guard stat("/proc/\(process)/root", &own) == 0, stat("/", &host) == 0,
      own.st_dev != host.st_dev || own.st_ino != host.st_ino
    else {
      throw ContainerRefusal.mount(
        "the container's root \(path) is not mounted, so that nothing tells what else is in it")
    }
    return "/"
  }

  /// The cgroup of each hierarchy, cgroup2's first.
  private func cgroups() throws -> [String] {
    let lines = try SmallFile.read("/proc/\(process)/cgroup").split(separator: "\n").map {
      $0.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
    }.filter { $0.count == 3 }
    let second = lines.first { $0[0] == "0" }.map { String($0[2]) } ?? "/"
    return [second] + lines.filter { $0[0] != "0" }.map { String($0[2]) }
  }

  /// The device of the procfs on the container's /proc, if that shows the pid namespace that the container
  /// is in.
  private func ownProc(_ root: String, _ table: MountTable) throws -> String? {
    let path = root == "/" ? "/proc" : "\(root)/proc"
    guard let entry = table.entry(at: path), entry.type == "proc", entry.root == "/" else {
      return nil
    }
    let own = try ProcessNamespaces.identity(.process, of: process)
    var status = stat()
    guard stat("/proc/\(process)/root\(path)/1/ns/pid", &status) == 0,
      UInt64(status.st_ino) == own.inode, UInt64(status.st_dev) == own.device
    else { return nil }
    return entry.device
  }

  /// Of several mounts on one path the last is the one that is seen, and of several options the last counts.
  private static func readOnlyPaths(_ specification: JSONValue) -> Set<String> {
    var isReadOnly: [String: Bool] = [:]
    for mount in specification["mounts"]?.elements ?? [] {
      guard let path = mount["destination"]?.string else { continue }
      let options = (mount["options"]?.elements ?? []).compactMap(\.string)
      isReadOnly[path] = options.last { ["ro", "rro", "rw"].contains($0) }?.hasSuffix("ro") == true
    }
    return Set(isReadOnly.filter(\.value).keys)
  }
}
