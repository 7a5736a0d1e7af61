import Foundation
import Glibc
import LinuxSystem
import Model

/// The running istbpfd, as the kernel shows it.
struct DaemonProcess {
  let id: Int32
  private let arguments: [String]
  /// Its environment.
  let environment: [String: String]

  /// Nil where none runs, or its process may not be looked at.
  init?(_ installation: Installation) {
    guard let text = try? SmallFile.read(installation.lockPath),
      let id = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)), kill(id, 0) == 0
    else { return nil }
    func list(_ file: String) -> [String]? {
      try? SmallFile.bytes(of: "/proc/\(id)/\(file)").split(separator: 0)
        .map { String(decoding: $0, as: UTF8.self) }
    }
    guard let arguments = list("cmdline"), let environment = list("environ"),
      arguments.first?.hasSuffix("istbpfd") == true
    else { return nil }
    (self.id, self.arguments) = (id, arguments)
    self.environment = Dictionary(
      environment.compactMap { line in
        line.firstIndex(of: "=").map {
          (String(line[..<$0]), String(line[line.index(after: $0)...]))
        }
      }, uniquingKeysWith: { first, _ in first })
  }

  /// The configuration that it was told to read; nil for the standard one.
  var configurationFile: String? {
    for (index, argument) in arguments.enumerated() {
      if argument.hasPrefix("--config=") { return String(argument.dropFirst("--config=".count)) }
      if argument == "--config", index + 1 < arguments.count { return arguments[index + 1] }
    }
    return nil
  }
}
