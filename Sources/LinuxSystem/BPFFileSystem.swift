import CLinux
import Glibc
import SystemPackage

/// The file system where BPF programs, maps and links are pinned.
public enum BPFFileSystem {
  /// Where systemd and bpftool mount it.
  public static let standardPath = "/sys/fs/bpf"

  /// Mounts bpffs on `path` unless it is there, for root only and without setuid, devices, programs.
  ///
  /// Throws `SystemError`: EROFS where it is there but read-only, ENODEV where the kernel has none,
  /// ENOENT where there is no directory to mount it on.
  public static func mount(on path: String = standardPath) throws {
    if !isMounted(at: path) {
      do {
        try mountOnce(on: path)
      } catch let error as SystemError where error.hint == nil {
        throw SystemError(error.errno, "mount bpffs on", path, hint: hint(for: error.errno))
      }
    }
    let flags = linux_mount_flags(path)
    guard flags >= 0 else { throw SystemError(.last, "look at bpffs on", path) }
    guard UInt(flags) & linux_ms_rdonly == 0 else {
      throw SystemError(
        .readOnlyFileSystem, "pin anything in", path,
        hint: "bpffs is mounted read-only: mount -o remount,rw \(path)")
    }
  }

  /// Of two that find none at once the second would hide what the first has pinned by then, so each
  /// holds a lock on the directory below while it looks and mounts.
  private static func mountOnce(on path: String) throws {
    let directory = try OwnedDescriptor(directory: path)
    // Anyone may hold this lock, but nobody who means well does so for as long as this.
    var patience = 200
    while patience > 0, flock(directory.rawValue, LOCK_EX | LOCK_NB) != 0 {
      usleep(10_000)
      patience -= 1
    }
    defer { flock(directory.rawValue, LOCK_UN) }
    guard !isMounted(at: path) else { return }
    try Mount.mount(
      "bpf", source: "bpf", on: path, flags: linux_ms_nosuid | linux_ms_nodev | linux_ms_noexec,
      options: "mode=700")
  }

  /// Whether bpffs is what one sees at `path`.
  public static func isMounted(at path: String = standardPath) -> Bool {
    linux_file_system_magic(path) == linux_magic_bpf
  }

  private static func hint(for errno: Errno) -> String? {
    switch errno {
    case .operationNotSupportedByDevice: "this kernel has no bpffs: it needs CONFIG_BPF_SYSCALL"
    case .noSuchFileOrDirectory: "there is no such directory: is sysfs mounted on /sys?"
    case .notPermitted: "mounting needs CAP_SYS_ADMIN: a container must be privileged"
    default: nil
    }
  }
}
