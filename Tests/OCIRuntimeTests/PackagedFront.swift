import Foundation
import TestSupport
import Testing

/// The program that a package has before the wrapper (Packaging/front), compiled here, with a script in the place of
/// the wrapper that says what it got.
final class PackagedFront {
  /// A directory of its own, which ends with this; without the word that the program looks for.
  let directory: String
  /// The program; the configuration file that it looks at; and the directory of istbpfd's records of containers.
  let path, configuration, records: String

  init() throws {
    directory = "/tmp/front-before-wrapper-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    path = "\(directory)/bin/istbpf-oci"
    (configuration, records) = ("\(directory)/config.json", "\(directory)/records")
    let files = FileManager.default
    for name in ["bin", "lib/istbpf"] {
      try files.createDirectory(
        atPath: "\(directory)/\(name)", withIntermediateDirectories: true)
    }
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../Packaging/front/istbpf-oci.c").path
    let compiled = try run(
      "cc", "-O2", "-Wall", "-Wextra", "-Werror", "-DCONFIGURATION=\"\(configuration)\"",
      "-DRECORDS=\"\(records)\"", "-o", path, source)
    try #require(compiled.status == 0, "\(compiled.errors)")
    // A script is not told its argv[0]; bash has it in what ps shows.
    let wrapper = "\(directory)/lib/istbpf/istbpf"
    let program = "import sys; print('wrapper', *open('/proc/self/cmdline').read().split(chr(0)))"
    // By a process of its own: a child that another test starts meanwhile would have the file open for writing, and
    // what is open for writing cannot be executed (ETXTBSY).
    let written = try run(
      "sh", "-c", #"printf '%s\n' "$1" >"$2" && chmod 755 "$2""#, "sh",
      "#!/usr/bin/python3 -c\(program)", wrapper)
    try #require(written.status == 0, "\(written.errors)")
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  /// Whether the runtime is called at once, and not the wrapper.
  func isPassedOn(_ words: [String], environment: [String] = []) throws -> Bool {
    let result = try run(["env"] + environment + [path] + words)
    return !result.output.hasPrefix("wrapper")
  }

  /// Writes a file below the directory, and returns its path.
  @discardableResult
  func write(_ text: String, to name: String) throws -> String {
    let file = URL(fileURLWithPath: "\(directory)/\(name)")
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
    return file.path
  }
}
