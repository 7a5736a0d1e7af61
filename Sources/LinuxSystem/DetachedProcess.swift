import CLinux
import Glibc
import SystemPackage

/// Processes that outlive this one.
public enum DetachedProcess {
  /// Starts the program `path` with `command`, the name that it goes by and its arguments: in a session of its own, with
  /// no descriptor of this process but standard error, or the file `output`. Returns its process id. Throws
  /// `SystemError`.
  public static func start(
    _ path: String, _ command: [String], output: String? = nil
  ) throws -> pid_t {
    var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    let result = linux_spawn_detached(&process, path, words, output)
    guard result == 0 else { throw SystemError(Errno(rawValue: result), "start", path) }
    return process
  }
}
