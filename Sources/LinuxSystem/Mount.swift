import CLinux
import Glibc
import SystemPackage

/// Mounts of the calling thread's mount namespace. Everything throws `SystemError`.
public enum Mount {
  /// Gives the calling thread a mount namespace of its own, and a root and working directory that
  /// it shares with no other thread: what exec then makes of the process lives in it.
  public static func unshareNamespace() throws {
    guard linux_unshare_mount_namespace() == 0 else {
      throw SystemError(.last, "create", "a mount namespace")
    }
  }

  /// Whether the uppermost mount at exactly `path` is of the type `type`, such as `bpf`.
  public static func isMounted(_ type: String, at path: String) throws -> Bool {
    try MountTable.current().entry(at: path)?.type == type
  }

  /// Mounts a file system of the type `type`.
  public static func mount(
    _ type: String, source: String = "none", on path: String, flags: UInt = 0, options: String = ""
  ) throws {
    try call("mount \(type) on", path, source: source, type: type, flags: flags, options: options)
  }

  /// Makes `target` show what `source` is: both directories or both files.
  public static func bind(_ source: String, on target: String, recursive: Bool = false) throws {
    let flags = linux_ms_bind | (recursive ? linux_ms_rec : 0)
    try call("bind \(source) on", target, source: source, flags: flags)
  }

  /// Makes the mount at `path` read-only, and it alone: its file system stays writable elsewhere.
  ///
  /// A remount states all flags anew, so those that the mount has are kept; without nosuid, nodev
  /// and noexec the kernel would refuse it in a user namespace, and drop them outside of one.
  public static func remountReadOnly(_ path: String) throws {
    let kept = linux_mount_flags(path)
    guard kept >= 0 else { throw SystemError(.last, "look at mount", path) }
    let flags = linux_ms_remount | linux_ms_bind | linux_ms_rdonly | UInt(kept)
    try call("make read-only", path, flags: flags)
  }

  /// Mounts a file system of the type `type` that nothing can be written to, or executed on.
  public static func mountReadOnly(_ type: String, on path: String) throws {
    try mount(type, source: type, on: path, flags: linux_ms_rdonly | restricted)
  }

  private static var restricted: UInt { linux_ms_nosuid | linux_ms_nodev | linux_ms_noexec }

  /// Enters the calling thread's working directory again by its path: what was mounted over it is
  /// seen, and what is below the mount is not. It becomes / where the path leads nowhere now.
  public static func lookUpWorkingDirectory() throws {
    let path = getcwd(nil, 0)
    defer { free(path) }
    if let path, chdir(path) == 0 { return }
    guard chdir("/") == 0 else { throw SystemError(.last, "enter", "/") }
  }

  /// Hides what is below the directory `path` behind an empty tmpfs of at most `size` bytes.
  public static func cover(_ path: String, size: Int = 65_536, mode: String = "755") throws {
    try mount("tmpfs", on: path, flags: restricted, options: "size=\(size),mode=\(mode)")
  }

  /// Stops mounts below `path` from propagating to and from other mount namespaces.
  public static func makePrivate(_ path: String, recursive: Bool = true) throws {
    try call("make private", path, flags: linux_ms_private | (recursive ? linux_ms_rec : 0))
  }

  /// Lets mounts below `path` come from the other mount namespaces, but go to none.
  public static func makeSlave(_ path: String, recursive: Bool = true) throws {
    try call("make slave", path, flags: linux_ms_slave | (recursive ? linux_ms_rec : 0))
  }

  /// Lets mounts below `path` propagate; EINVAL where `path` is no mount point.
  public static func share(_ path: String, recursive: Bool = true) throws {
    try call("make shared", path, flags: linux_ms_shared | (recursive ? linux_ms_rec : 0))
  }

  /// Unmounts `path`; `lazy` where it may be in use.
  public static func unmount(_ path: String, lazy: Bool = false) throws {
    guard linux_unmount(path, lazy ? 1 : 0) == 0 else { throw SystemError(.last, "unmount", path) }
  }

  private static func call(
    _ operation: String, _ path: String, source: String? = nil, type: String? = nil, flags: UInt,
    options: String = "", hint: String? = nil
  ) throws {
    guard linux_mount(source, path, type, flags, options) == 0 else {
      throw SystemError(.last, operation, path, hint: hint)
    }
  }
}
