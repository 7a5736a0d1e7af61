import CLibseccomp
import Glibc
import SystemPackage

/// A seccomp filter that refuses system calls by their names.
public enum SystemCallFilter {
  /// What a service that carries bytes between sockets has no use for, and a program that has taken it over would: to
  /// become another program, to change what is mounted, to look into other processes, to change the kernel.
  public static let carrierDenies: [String] = [
    "acct", "add_key", "chroot", "clock_adjtime", "clock_settime", "delete_module", "execve",
    "execveat",
    "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "io_uring_setup",
    "ioperm", "iopl",
    "kcmp", "kexec_file_load", "kexec_load", "keyctl", "mount", "mount_setattr", "move_mount",
    "name_to_handle_at",
    "open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root",
    "process_madvise",
    "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot", "request_key",
    "setdomainname",
    "sethostname", "settimeofday", "setuid", "setgid", "setresuid", "setresgid", "setgroups",
    "swapoff", "swapon",
    "syslog", "umount2", "unshare", "userfaultfd",
  ]

  /// bpf(2)'s commands that load or attach a program, of linux/bpf.h: `BPF_PROG_LOAD`, `BPF_PROG_ATTACH`,
  /// `BPF_PROG_DETACH`, `BPF_RAW_TRACEPOINT_OPEN`, `BPF_LINK_CREATE`, `BPF_LINK_UPDATE`, `BPF_LINK_DETACH`.
  private static let deniedBPFCommands: [scmp_datum_t] = [5, 8, 9, 17, 28, 29, 34]

  /// Puts the calling thread, and all that it starts, under the filter for good: the calls of `carrierDenies`, and those
  /// of bpf(2) that load or attach a program, fail with EPERM. It sets PR_SET_NO_NEW_PRIVS. Throws `SystemError`.
  public static func applyForCarrier() throws {
    guard let filter = seccomp_init(UInt32(SCMP_ACT_ALLOW)) else {
      throw SystemError(.noMemory, "create", "a seccomp filter")
    }
    defer { seccomp_release(filter) }
    for name in carrierDenies {
      let call = seccomp_syscall_resolve_name(name)
      // One that this libseccomp does not know yet (its number is -1).
      guard call != -1 else { continue }
      try check(seccomp_rule_add_array(filter, failing, call, 0, nil), "add a rule to")
    }
    let bpf = seccomp_syscall_resolve_name("bpf")
    for command in deniedBPFCommands {
      let comparison = [
        scmp_arg_cmp(arg: 0, op: SCMP_CMP_MASKED_EQ, datum_a: 0xffff_ffff, datum_b: command)
      ]
      try check(seccomp_rule_add_array(filter, failing, bpf, 1, comparison), "add a rule to")
    }
    try check(seccomp_load(filter), "load")
  }

  private static var failing: UInt32 { SocketFamilyFilter.failing(EPERM) }

  private static func check(_ result: Int32, _ operation: String) throws {
    guard result != 0 else { return }
    throw SystemError(Errno(rawValue: -result), operation, "the seccomp filter of system calls")
  }
}
