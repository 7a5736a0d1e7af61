import CLibseccomp
import Glibc
import SystemPackage

/// The rules of the filter.
extension SocketFamilyFilter {
  static func addRules(to filter: scmp_filter_ctx) throws {
    // libseccomp knows system calls by the native number, or a negative one where there is none.
    // clone3 hides its flags: a cgroup to be born in is one. libc goes back to clone then.
    for name in ["io_uring_setup", "socketcall", "clone3"] {
      try addRule(to: filter, failing: ENOSYS, systemCall(name), nil)
    }
    // A packet socket of Linux 2.0, which the kernel still takes for one whatever its family says.
    try addRule(
      to: filter, failing: EAFNOSUPPORT, systemCall("socket"),
      scmp_arg_cmp(arg: 1, op: SCMP_CMP_MASKED_EQ, datum_a: 0xf, datum_b: linux2PacketSocket))
    for call in ["socket", "socketpair"].map(systemCall) {
      for comparison in forbiddenFamilies {
        try addRule(to: filter, failing: EAFNOSUPPORT, call, comparison)
      }
    }
  }

  /// SOCK_PACKET of linux/net.h, below the flags of a socket's type.
  private static let linux2PacketSocket: scmp_datum_t = 10

  /// The rules of several ABIs' system calls are made from those of the native one's.
  static func addArchitecture(_ architecture: UInt32, to filter: scmp_filter_ctx) throws {
    try check(seccomp_arch_add(filter, architecture), "extend to 32-bit programs")
  }

  /// Every value of a 32-bit family but the allowed ones.
  ///
  /// The kernel takes an int, so a program may leave anything in the upper half of the register:
  /// only masked comparisons look at the lower half alone, whereas `!=` and `>` of libseccomp compare
  /// 64 bits. libseccomp can neither join two comparisons of one argument nor negate a masked one;
  /// so a family below 32 is forbidden by its value, and any other by a bit that it has.
  private static var forbiddenFamilies: [scmp_arg_cmp] {
    let small = (UInt32(0)..<32).filter { !allowedFamilies.contains($0) }
      .map { comparison(mask: .max, value: $0) }
    let large = (UInt32(5)..<32).map { comparison(mask: 1 << $0, value: 1 << $0) }
    return small + large
  }

  private static func comparison(mask: UInt32, value: UInt32) -> scmp_arg_cmp {
    scmp_arg_cmp(
      arg: 0, op: SCMP_CMP_MASKED_EQ, datum_a: scmp_datum_t(mask), datum_b: scmp_datum_t(value))
  }

  private static func addRule(
    to filter: scmp_filter_ctx, failing code: Int32, _ call: Int32, _ comparison: scmp_arg_cmp?
  ) throws {
    let comparisons = [comparison].compactMap(\.self)
    try check(
      seccomp_rule_add_array(
        filter, failing(code), call, UInt32(comparisons.count), comparisons), "add a rule to")
  }

  private static func systemCall(_ name: String) -> Int32 { seccomp_syscall_resolve_name(name) }

  /// `SCMP_ACT_ERRNO`, a macro that Swift does not see.
  static func failing(_ code: Int32) -> UInt32 { 0x0005_0000 | UInt32(code) & 0xffff }

  /// Throws what libseccomp returned: a negative errno.
  static func check(_ result: Int32, _ operation: String) throws {
    guard result != 0 else { return }
    throw SystemError(
      Errno(rawValue: -result), operation, "the seccomp filter of socket families",
      hint: result == -EACCES ? "it needs CAP_SYS_ADMIN" : nil)
  }
}
