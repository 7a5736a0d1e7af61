import ArgumentParser
import Glibc
import LinuxSystem
import SystemPackage

/// A program to become, found before anything is set up for it.
struct Executable {
  private let path: String
  private let name: String

  /// Finds `name` as a shell does: with a slash as it is, otherwise along PATH. Exits as a shell
  /// does, with 127, where there is none.
  init(_ name: String) throws {
    self.name = name
    if name.contains("/") {
      path = name
    } else {
      let directories = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
      let found = directories.split(separator: ":").map { "\($0)/\(name)" }
        .first { (candidate: String) -> Bool in access(candidate, X_OK) == 0 }
      path = found ?? ""
    }
    guard !path.isEmpty, access(path, F_OK) == 0 else {
      printError("istbpf: there is no command \(name)\(name.contains("/") ? "" : " in PATH")")
      throw ExitCode(127)
    }
  }

  /// Replaces this process; returns only by throwing, with the shell's status 126.
  func become(arguments: [String]) throws -> Never {
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    pointers.append(nil)
    execv(path, pointers)
    printError("istbpf: \(SystemError(.last, "execute", path))")
    throw ExitCode(126)
  }
}
