import ArgumentParser
import Glibc
import LinuxSystem
import SystemPackage

/// A program to become, found before anything is set up for it.
struct Executable {
  private let path: String
  private let name: String

  /// The path of the command `name` as a shell finds it: with a slash as it is, otherwise along PATH.
  static func find(_ name: String) -> String? {
    if name.contains("/") { return name }
    let directories = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    return directories.split(separator: ":").map { "\($0)/\(name)" }
      .first { (candidate: String) -> Bool in access(candidate, X_OK) == 0 }
  }

  /// Finds `name`. Exits as a shell does, with 127, where there is none.
  init(_ name: String) throws {
    self.name = name
    path = Self.find(name) ?? ""
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
