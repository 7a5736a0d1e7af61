import Foundation
import Model
import TestSupport
import Testing

@testable import OCIRuntime

@Suite("Processes that are executed in a container of a service")
struct ExecTests {
  @Test("The container's id, the file and the options are found in runc's and crun's forms")
  func arguments() throws {
    let podman = try ExecArguments([
      "--root=/r", "--systemd-cgroup", "exec", "--pid-file", "/p", "-c", "CAP_KILL", "--process",
      "/tmp/process", "--detach", "ID", "--process", "other",
    ])
    #expect(podman?.container == "ID")
    #expect(podman?.root == "/r")
    #expect(podman?.processFile == "/tmp/process")
    #expect(podman?.capabilities == ["CAP_KILL"])
    #expect(try ExecArguments(["--log", "exec", "create", "ID"]) == nil)
    #expect(try ExecArguments(["exec", "--user", "0", "ID", "sh", "-p"])?.processFile == nil)
    #expect(throws: ContainerRefusal.self) { try ExecArguments(["exec", "--proces", "/x", "ID"]) }
  }

  private static let process =
    #"{"terminal":true,"capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_KILL","CAP_CHOWN"]},"args":["sh"]}"#
  /// Of a container that was asked for more than it may have, and got less.
  private static let container = #"""
    {"hooks":{"createRuntime":[{"args":["/x","istbpf-hook","attach"]}]},
    "process":{"capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_CHOWN"]}}}
    """#

  /// What `exec` makes of a process in the container `id`, which runc knows as one of a service or not.
  private func edited(
    _ id: String, isInstance: Bool = true, _ options: [String] = []
  ) throws -> String {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
      "istbpf-exec-\(UInt32.random(in: 0...UInt32.max))")
    defer { try? FileManager.default.removeItem(at: directory) }
    let files = [
      "c1/state.json": #"{"config":{"labels":["a=b","bundle=\#(directory.path)/bundle"]}}"#,
      "bundle/config.json": isInstance ? Self.container : "{}",
      "process": Self.process,
    ]
    for (name, text) in files {
      let file = directory.appendingPathComponent(name)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: file)
    }
    let words = ["--root", directory.path, "exec", "--process", "\(directory.path)/process"]
    let arguments = try #require(try ExecArguments(words + options + [id]))
    try ExecEdit(installation: try Installation("istbpf-none")).apply(to: arguments)
    return try String(contentsOf: directory.appendingPathComponent("process"), encoding: .utf8)
  }

  @Test(
    "A process in an instance has no more capabilities than the instance; others are left alone")
  func capabilities() throws {
    #expect(
      try edited("c1")
        == Self.process.replacingOccurrences(of: "\"CAP_SYS_ADMIN\",\"CAP_KILL\",", with: ""))
    #expect(try edited("c1", isInstance: false) == Self.process)
    #expect(try edited("c2") == Self.process, "a container that is not known")
  }

  @Test("What is asked for by options is refused: a capability, and descriptors")
  func options() throws {
    #expect(throws: ContainerRefusal.capability("CAP_NET_ADMIN")) {
      try edited("c1", ["--cap", "CAP_NET_ADMIN"])
    }
    #expect(throws: ContainerRefusal.preservedDescriptors("1")) {
      try edited("c1", ["--preserve-fds", "1"])
    }
    #expect(try !edited("c1", ["--cap", "CAP_CHOWN"]).isEmpty)
  }
}
