import CLinux
import SystemPackage

/// The calling thread, and what it leaves to the program that it becomes.
public enum CallingThread {
  /// Its number, by which /proc/<number> shows it.
  public static var id: pid_t { linux_thread_id() }

  /// Has exec close every descriptor from `first` on; throws `SystemError`.
  public static func closeOnExec(from first: UInt32) throws {
    guard linux_close_on_exec_from(first) == 0 else {
      throw SystemError(.last, "mark close-on-exec", "descriptors from \(first) on")
    }
  }
}
