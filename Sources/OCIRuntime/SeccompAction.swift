/// What a seccomp profile does with a system call (runtime-spec, config-linux.md).
enum SeccompAction {
  static let errno = "SCMP_ACT_ERRNO"

  /// The actions that refuse a call, the stricter the later.
  private static let refusing = [
    errno, "SCMP_ACT_TRAP", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", strictestOfAll,
  ]

  /// Whether a call may happen. It may if it is logged, and if a tracer or a listener decides.
  static func letsPass(_ action: String) -> Bool { !refusing.contains(action) }

  /// The strictest of `actions`, an errno at least.
  static func strictest(_ actions: [String]) -> String {
    refusing.last(where: actions.contains) ?? errno
  }

  /// What nothing is stricter than.
  static let strictestOfAll = "SCMP_ACT_KILL_PROCESS"
}
