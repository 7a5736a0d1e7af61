import Glibc

/// What becomes of this process where it crashes.
public enum CrashHandling {
  /// Has the kernel end it at once, and keep nothing of its memory. For a process that may execute nothing, and has keys.
  ///
  /// Swift's runtime stops all threads where one crashes, and starts a program that says where that was
  /// (`SWIFT_BACKTRACE`). Where that cannot be started, all would stand still for ever, with every connection open.
  public static func endAtOnce() {
    for number in [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV] {
      signal(number, SIG_DFL)
    }
    // With 0 a program that core_pattern has a pipe to would still get the memory (core(5)); with 1 none is started
    // (fs/coredump.c), and no file has room for anything.
    var limit = rlimit(rlim_cur: 1, rlim_max: 1)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
  }
}
