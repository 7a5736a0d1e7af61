import Glibc
import SystemPackage

/// A cgroup of the cgroup2 hierarchy, which may exist or not. Everything throws `SystemError`.
public struct Cgroup: Hashable, Sendable {
  /// The path of its directory.
  public let path: String

  /// A cgroup by the path of its directory.
  public init(path: String) { self.path = path }

  /// The cgroup `name` inside this one.
  public func child(_ name: String) -> Cgroup { Cgroup(path: "\(path)/\(name)") }

  /// The cgroup that this one is directly inside.
  public var parent: Cgroup {
    Cgroup(path: String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
  }

  /// The cgroups directly inside this one.
  public func children() throws -> [Cgroup] {
    try DirectoryListing.names(in: path).map(child).filter { $0.exists }
  }

  /// Whether it exists.
  public var exists: Bool { SmallFile.exists("\(path)/cgroup.procs") }

  /// Creates it, and the cgroups above it; not an error where it is there.
  public func create() throws {
    guard !exists else { return }
    if mkdir(path, 0o755) == 0 || Errno.last == .fileExists { return }
    guard Errno.last == .noSuchFileOrDirectory, let slash = path.lastIndex(of: "/"),
      slash > path.startIndex
    else { throw SystemError(.last, "create cgroup", path) }
    try Cgroup(path: String(path[..<slash])).create()
    guard mkdir(path, 0o755) == 0 || Errno.last == .fileExists else {
      throw SystemError(.last, "create cgroup", path)
    }
  }

  /// The number that BPF's cgroup helpers and `bpf_link` information name it by.
  ///
  /// It is the inode of its directory: kernfs has used the 64-bit node id as inode number on 64-bit
  /// machines since Linux 5.5 (fs/kernfs, kernfs_ino).
  public func id() throws -> UInt64 {
    var status = stat()
    guard stat(path, &status) == 0 else { throw SystemError(.last, "look at cgroup", path) }
    return UInt64(status.st_ino)
  }

  /// Its directory, open, as attaching BPF programs wants it.
  public func open() throws -> OwnedDescriptor { try OwnedDescriptor(directory: path) }

  /// Moves the process `process` into it, all threads; 0 is the calling process.
  ///
  /// ENOENT where there is no such cgroup, ESRCH where there is no such process.
  public func add(_ process: pid_t) throws {
    try SmallFile.write("\(process)", to: "\(path)/cgroup.procs")
  }

  /// The processes directly in it, as this process's pid namespace numbers them; zombies are none.
  public func processes() throws -> [pid_t] {
    try SmallFile.read("\(path)/cgroup.procs").split(separator: "\n").compactMap { pid_t($0) }
  }

  /// It and every cgroup inside it, however deep.
  public func withDescendants() throws -> [Cgroup] {
    [self] + (try children().flatMap { try $0.withDescendants() })
  }

  /// The processes in it and in every cgroup inside it.
  public func allProcesses() throws -> [pid_t] {
    try withDescendants().flatMap { try $0.processes() }
  }

  /// The file that tells whether it is populated, and whose changes inotify reports.
  var eventsPath: String { "\(path)/cgroup.events" }

  /// Whether a process lives in it or in a cgroup inside it.
  public func isPopulated() throws -> Bool {
    Self.isPopulated(accordingTo: try SmallFile.read(eventsPath))
  }

  /// The same, and false where it does not exist, or ceases to while it is asked.
  public func hasProcesses() throws -> Bool {
    do {
      return try isPopulated()
    } catch let error as SystemError
      where error.errno == .noSuchFileOrDirectory || error.errno == Errno(rawValue: ENODEV)
    {
      return false
    }
  }

  static func isPopulated(accordingTo events: String) -> Bool {
    events.split(separator: "\n").contains("populated 1")
  }
}
