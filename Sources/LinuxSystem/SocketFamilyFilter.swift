import CLibseccomp
import CLinux
import Glibc
import SystemPackage

/// A seccomp filter that lets only some families of sockets come into being.
///
/// Packet, vsock, XDP, SMC and RDS sockets pass every cgroup hook of BPF by, so they must not exist.
public enum SocketFamilyFilter {
  /// Families that BPF's cgroup hooks see, or that reach no network.
  public static let allowedFamilies: Set<UInt32> = [
    UInt32(AF_UNIX), UInt32(AF_INET), UInt32(AF_INET6), UInt32(AF_NETLINK),
  ]

  /// Puts the calling thread, and all that it starts or calls exec for, under the filter for good.
  ///
  /// Then socket(2) and socketpair(2) fail with EAFNOSUPPORT for other families, as where the kernel
  /// has none of them, and io_uring_setup(2) with ENOSYS, since io_uring opens sockets that seccomp
  /// does not see; and clone3(2), which can put a child into another cgroup. The same holds for 32-bit programs, for which socketcall(2), whose arguments a
  /// filter cannot see, fails with ENOSYS; system calls of any further ABI (x32) fail with ENOSYS.
  ///
  /// PR_SET_NO_NEW_PRIVS is not set, so that setuid programs go on working; it needs CAP_SYS_ADMIN
  /// instead, hence comes before `CredentialDrop`. Throws `SystemError`.
  public static func apply() throws {
    let filter = try make()
    defer { seccomp_release(filter) }
    try check(seccomp_load(filter), "load")
  }

  /// The filter in libseccomp's readable form, for tests and for whoever wonders.
  public static func pseudocode() throws -> String {
    let filter = try make()
    defer { seccomp_release(filter) }
    let file = linux_memory_file("seccomp")
    guard file >= 0 else { throw SystemError(.last, "create", "a memory file") }
    let owned = OwnedDescriptor(owning: file)
    try check(seccomp_export_pfc(filter, owned.rawValue), "print")
    return try SmallFile.read("/proc/self/fd/\(owned.rawValue)")
  }

  private static func make() throws -> scmp_filter_ctx {
    guard let filter = seccomp_init(UInt32(SCMP_ACT_ALLOW)) else {
      throw SystemError(.noMemory, "create", "a seccomp filter")
    }
    do {
      try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0), "configure")
      try check(
        seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, failing(ENOSYS)), "configure")
      #if arch(x86_64)
        try addArchitecture(UInt32(SCMP_ARCH_X86), to: filter)
      #elseif arch(arm64)
        try addArchitecture(UInt32(SCMP_ARCH_ARM), to: filter)
      #endif
      try addRules(to: filter)
    } catch {
      seccomp_release(filter)
      throw error
    }
    return filter
  }
}
