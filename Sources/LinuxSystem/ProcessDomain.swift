import CLinux
import SystemPackage

/// A set of processes that can reach into one another, and into no process outside.
public enum ProcessDomain {
  /// Puts the calling thread, and all that it starts or calls exec for, into a domain of its own, for
  /// good: ptrace(2), pidfd_getfd(2), /proc/PID/mem, /proc/PID/root and their like fail with EPERM or
  /// EACCES for processes outside, whatever their user. From Linux 6.12 so do signals.
  ///
  /// It is a Landlock domain that is granted all rights on files; but within one the kernel allows no
  /// mounts, not even in a user namespace. It needs CAP_SYS_ADMIN. Throws `SystemError`.
  public static func enterNew() throws {
    guard linux_enter_landlock_domain() == 0 else {
      throw SystemError(
        .last, "enter", "a Landlock domain",
        hint: "the kernel needs Landlock: CONFIG_SECURITY_LANDLOCK, and landlock in lsm=")
    }
  }
}
