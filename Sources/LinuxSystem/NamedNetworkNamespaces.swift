import CLinux
import Glibc
import SystemPackage

/// Named namespaces, kept as `ip netns` keeps them: a bind mount in /run/netns for each.
extension NetworkNamespace {
  /// Where `ip netns` looks.
  public static let directory = "/run/netns"

  /// The path of the namespace `name`.
  public static func path(named name: String) -> String { "\(directory)/\(name)" }

  /// Opens the namespace `name`; throws `SystemError`, ENOENT where there is none.
  public convenience init(named name: String) throws {
    try self.init(path: Self.path(named: try Self.checked(name)))
  }

  /// Whether a namespace `name` exists. The empty file that a crash may leave is none.
  public static func exists(named name: String) -> Bool {
    linux_file_system_magic(path(named: name)) == linux_magic_nsfs
  }

  /// The names of all named namespaces that begin with `prefix`, sorted.
  public static func names(prefix: String = "") throws -> [String] {
    try DirectoryListing.names(in: directory).filter { $0.hasPrefix(prefix) && exists(named: $0) }
  }

  /// Creates the namespace `name`; throws `SystemError`, EEXIST where there is one already.
  public static func create(named name: String) throws -> NetworkNamespace {
    let path = path(named: try checked(name))
    return try withExtendedLifetime(try prepareDirectory()) { _ in
      guard !exists(named: name) else { throw SystemError(.fileExists, "create namespace", path) }
      do {
        // Not O_EXCL: an empty file that a crash left before the mount is taken over.
        _ = try OwnedDescriptor(opening: path, flags: O_RDONLY | O_CREAT, mode: 0)
        try DedicatedThread.run {
          try unshare()
          try Mount.bind("/proc/thread-self/ns/net", on: path)
        }
        return try NetworkNamespace(path: path)
      } catch {
        // What stays is an empty file, which is taken over; the error that counts is the first.
        try? delete(named: name)
        throw error
      }
    }
  }

  /// Takes the name `name` away; the namespace itself ends with its last process and handle.
  ///
  /// Not an error where there is none; throws `SystemError` otherwise.
  public static func delete(named name: String) throws {
    let path = path(named: try checked(name))
    if linux_unmount(path, 1) != 0 {
      let code = Errno.last
      // EINVAL: a file that is no mount point, which a crash left.
      guard code == .invalidArgument || code == .noSuchFileOrDirectory else {
        throw SystemError(code, "unmount namespace", path)
      }
    }
    guard unlink(path) == 0 || Errno.last == .noSuchFileOrDirectory else {
      throw SystemError(.last, "remove namespace", path)
    }
  }

  private static func checked(_ name: String) throws -> String {
    guard !name.isEmpty, name != ".", name != "..", name.utf8.count <= 255,
      !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 })
    else {
      throw SystemError(
        .invalidArgument, "name a network namespace", "'\(name)'", hint: "not a file name")
    }
    return name
  }

  /// Makes the directory a shared mount point of its own, as `ip netns add` does: names that are
  /// added or removed are then so in every mount namespace that has a copy, and a deleted
  /// namespace is not kept alive by one of them.
  ///
  /// Returns a lock on the directory: two at once would each mount it on itself, or two namespaces
  /// on one name. `ip netns` takes the same lock.
  private static func prepareDirectory() throws -> OwnedDescriptor {
    guard mkdir(directory, 0o755) == 0 || Errno.last == .fileExists else {
      throw SystemError(.last, "create", directory)
    }
    let lock = try OwnedDescriptor(directory: directory)
    guard flock(lock.rawValue, LOCK_EX) == 0 else { throw SystemError(.last, "lock", directory) }
    do {
      try Mount.share(directory)
    } catch let error as SystemError where error.errno == .invalidArgument {
      try Mount.bind(directory, on: directory, recursive: true)
      try Mount.share(directory)
    }
    return lock
  }
}
